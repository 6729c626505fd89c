/** Phones and paper. */
export const mediaStyle = `
@media (max-width:48rem){
.variants,.variants tbody,.variants tr,.variants td,.variants tbody th{display:block}
.variants thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.variants tbody{background:var(--panel);border:1px solid var(--line);border-left:3px solid var(--kf);border-radius:.6rem;padding:.9rem 1rem .5rem;margin-bottom:.9rem}
.variants tbody tr:first-child>:first-child,.variants .why td{box-shadow:none;padding-left:0}
.variants tr:first-child{display:grid;grid-template-columns:1fr 1fr;gap:.5rem 1rem}
.variants tbody th{grid-column:1/-1;max-width:none;padding:0;font-size:1.0625rem}
.variants td{padding:0}
.variants td[data-label]::before{content:attr(data-label);display:block;font-size:.75rem;color:var(--soft)}
.variants .why td{padding:.7rem 0 0}}
@media (max-width:36rem){
.dists li{grid-template-columns:minmax(0,1fr)}
.dists .bar-value{text-align:left}
.top,.frame,.foot{padding-left:1rem;padding-right:1rem}
.top>span{display:none}
figure,.card{padding:.9rem}
section{margin-top:3rem}
.facts>div{grid-template-columns:1fr;gap:0}
.tile{padding:1rem 1.1rem}
.hashes code{white-space:normal}}
@media print{
:root{--bg:#fff;--panel:#fff;--ink:#000;--soft:#444}
body{font-size:10pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.toc,.search,.copy,.skip{display:none!important}
.frame{display:block;padding:0}
.top,.foot{padding-left:0;padding-right:0}
.charts:not(.one){grid-template-columns:1fr 1fr;gap:.8rem}
.chart.wide{display:none}.chart.narrow{display:block}
.tile{flex-basis:10rem}
section{margin-top:1.6rem}
h2,h3,h4,figcaption{break-after:avoid}
.tile,figure,.card,.step,.variants tbody,tr{break-inside:avoid}
.command pre{background:none;color:#000;border:1px solid #999}
a{text-decoration:none}}
@media print and (prefers-color-scheme:dark){:root{--line:#ddd;--track:#eee;--faint:#bbb;--good:#0b6b4a;--good-bg:#ddf0e7;--ok:#2c568f;--ok-bg:#e3ebf6;--bad:#a5351f;--bad-bg:#f9e5de;--base:#4a4f56;--base-bg:#e9e7e0;--warn:#6f4a00;--warn-bg:#fdf0cc}}
`;
