export const partStyle = `
.tiles{display:flex;flex-wrap:wrap;gap:1px;background:var(--line);border:1px solid var(--line);border-radius:.75rem;overflow:hidden;margin-top:1.8rem}
.tiles-title{flex:1 0 100%;background:var(--panel);padding:.7rem 1.4rem;font-size:.9375rem;overflow-wrap:anywhere}
.tile{flex:1 1 14rem;min-width:0;background:var(--panel);padding:1.2rem 1.4rem 1.1rem;display:flex;flex-direction:column;gap:.35rem}
.tile-label{font-size:.8125rem;color:var(--soft);font-weight:600}
.tile-figure{font-size:2.25rem;line-height:1.1;font-weight:680;letter-spacing:-.035em;color:var(--good)}
.tile-figure span{font-size:1rem;font-weight:500;letter-spacing:0;color:var(--soft)}
.tile.unknown .tile-figure{color:var(--warn)}
.tile-detail{font-size:.875rem;color:var(--soft)}
.tile-detail b{color:var(--ink)}
.pair{min-height:18px;margin:.35rem 0 .1rem;display:block}
.pair .before{fill:var(--base-fill);opacity:.55}.pair .after{fill:var(--good-fill)}
.k-recommended{--k:var(--good);--kf:var(--good-fill);--kb:var(--good-bg)}
.k-accepted{--k:var(--ok);--kf:var(--ok-fill);--kb:var(--ok-bg)}
.k-rejected{--k:var(--bad);--kf:var(--bad-fill);--kb:var(--bad-bg)}
.k-base{--k:var(--base);--kf:var(--base-fill);--kb:var(--base-bg)}
.mark{width:.95em;height:.95em;flex:none;fill:none;stroke:var(--k);stroke-width:2.2;stroke-linecap:round;stroke-linejoin:round;vertical-align:-.1em}
.k-recommended .mark circle,.mark.k-recommended circle{fill:var(--k);stroke:var(--k)}
.k-recommended .mark path{stroke:var(--kb)}
.k-accepted .mark circle,.k-base .mark path{fill:var(--kf);stroke:var(--k);stroke-width:1.4}
.badge{display:inline-flex;align-items:center;gap:.35em;font-size:.75rem;font-weight:650;line-height:1;padding:.32em .6em .32em .5em;border-radius:2em;color:var(--k);background:var(--kb);white-space:nowrap;vertical-align:.1em}
.vname{font-weight:650;overflow-wrap:anywhere}
.chips{display:flex;flex-wrap:wrap;gap:.3rem}
.chip{display:inline-block;font-size:.8125rem;line-height:1.35;padding:.1em .55em;border-radius:.35rem;background:var(--track);color:var(--ink);max-width:100%;overflow-wrap:anywhere}
.chip b{font-weight:650}
.charts{display:grid;gap:1.25rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr))}
.charts.one{grid-template-columns:minmax(0,1fr)}
.charts>*{align-self:start}
.sub{margin:1.8rem 0 .2rem}
.sub+.cards{margin-top:.9rem}
.figure-note{font-size:.8125rem;color:var(--soft);margin-top:.7rem;max-width:46rem}
.loud-note{color:var(--warn)}
figcaption .soft{font-weight:400;font-size:.8125rem}
.failure{color:var(--bad)}
.call{font-weight:650;white-space:nowrap;color:var(--soft)}
.call-better{color:var(--good)}
.call-worse{color:var(--bad)}
.call-same,.call-noise,.call-machine,.call-unclear{font-weight:400}
h3 .soft{font-weight:400;font-size:.875rem}
.price{margin-top:1.4rem;max-width:46rem}
.price+.notice{margin-top:1.4rem}
.price h2{font-size:1.0625rem;font-weight:650;letter-spacing:-.008em;line-height:1.35}
.price li{padding-left:1.1rem;position:relative}
.price li::before{content:"";position:absolute;left:0;top:.72em;width:.5rem;border-top:2px solid var(--faint)}
.price li,.price p{color:var(--soft);margin-top:.2rem}
figure,.card{background:var(--panel);border:1px solid var(--line);border-radius:.75rem;padding:1.1rem 1.2rem;min-width:0}
figcaption{font-size:.9375rem;font-weight:650;margin-bottom:.6rem}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.3rem;font-size:.8125rem;color:var(--soft);margin:.8rem .2rem 0}
.legend span{display:inline-flex;align-items:center;gap:.4em}
.front-key::before{content:"";width:1.6em;border-top:2px dotted var(--good-fill)}
table{border-collapse:collapse;width:100%;font-size:.875rem}
th,td{text-align:left;vertical-align:top;padding:.55rem .9rem .55rem 0;border-bottom:1px solid var(--line)}
thead th{font-size:.8125rem;color:var(--soft);font-weight:600;border-bottom:1px solid var(--faint);white-space:nowrap}
th.num,td.num{text-align:right;white-space:nowrap}
tbody th{font-weight:500}
.scroll{overflow-x:auto;max-width:100%;margin-top:1rem}
.scroll .vname{display:inline-block;max-width:14rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;vertical-align:bottom}
.meter{min-width:8rem}
.meter .fill{fill:var(--ok-fill)}
.variants tbody{border-bottom:1px solid var(--line)}
.variants tbody:last-child{border-bottom:0}
.variants td,.variants tbody th{border-bottom:0;padding-top:.9rem}
.variants tbody tr:first-child>:first-child{box-shadow:inset 3px 0 var(--kf);padding-left:.9rem}
.variants thead th:first-child{padding-left:.9rem}
.variants .why td{padding:0 0 .9rem .9rem;box-shadow:inset 3px 0 var(--kf)}
.variants td b{display:block;font-weight:600;white-space:nowrap}
.variants td small{color:var(--soft);white-space:nowrap}
.variants tbody th{max-width:17rem}
.why-list li{max-width:46rem;overflow-wrap:anywhere}
.why-list li+li{margin-top:.15rem}
.k-rejected .why-list{color:var(--bad)}
summary{cursor:pointer;color:var(--soft);font-size:.875rem;width:fit-content;padding:.2rem 0}
summary:hover{color:var(--ink)}
.notice summary,.notice summary:hover{color:inherit}
.facts{display:grid;gap:0 2.5rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr))}
.facts>div{display:grid;grid-template-columns:9.5rem minmax(0,1fr);gap:.8rem;padding:.45rem 0;border-bottom:1px solid var(--line);font-size:.9375rem}
.facts dt{color:var(--soft)}
.facts dd{overflow-wrap:anywhere;min-width:0}
.more .facts>div{font-size:.8125rem}
.hash{font-size:.75rem;color:var(--soft)}
.hashes code{white-space:nowrap}
.cards{display:grid;gap:1.25rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));align-items:start}
.card>*+*{margin-top:.6rem}
.command{position:relative;margin:.8rem 0}
.command pre{background:var(--ink);color:var(--bg);border-radius:.5rem;padding:.8rem 1rem;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.8125rem;line-height:1.5}
.command:has(.copy:not([hidden])) pre{padding-right:4.6rem}
.card .command{margin-bottom:0}
.copy{position:absolute;top:.5rem;right:.5rem;font:600 .75rem var(--sans);padding:.35rem .6rem;border-radius:.35rem;border:1px solid currentColor;background:var(--ink);color:var(--bg);cursor:pointer}
.search{display:flex;flex-wrap:wrap;gap:.3rem .8rem;align-items:center;margin-bottom:1.2rem;font-size:.875rem;color:var(--soft)}
.search[hidden]{display:none}
.search select{font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--faint);border-radius:.45rem;padding:.45rem .6rem;max-width:14rem}
.search .check{display:flex;gap:.4rem;align-items:center}
.search output{flex-basis:100%}
.search input[type=search]{flex:1 1 14rem;min-width:0;max-width:26rem;font:inherit;color:var(--ink);background:var(--panel);border:1px solid var(--faint);border-radius:.45rem;padding:.5rem .75rem}
.recipe{border-top:1px solid var(--faint);padding:1rem 0 1.6rem}
.steps{margin-top:.8rem;counter-reset:step}
.step{position:relative;padding:0 0 1.1rem 2.2rem;counter-increment:step}
.step::before{content:counter(step);position:absolute;left:0;top:.05rem;width:1.45rem;height:1.45rem;border-radius:50%;background:var(--track);color:var(--soft);font-size:.75rem;font-weight:650;display:grid;place-items:center}
.step:not(:last-child)::after{content:"";position:absolute;left:.7rem;top:1.75rem;bottom:.2rem;border-left:1px solid var(--line)}
.step h4{display:inline;font-size:1rem;font-weight:650;margin-right:.7rem}
.step .soft{font-size:.875rem}
.idle h4{color:var(--soft)}
.row{display:grid;grid-template-columns:4.5rem minmax(0,1fr);gap:.5rem;margin-top:.4rem;align-items:baseline;font-size:.8125rem}
.row-label{color:var(--soft)}
.skipped{margin-top:.4rem}
.reasons{margin-top:.3rem;font-size:.875rem}
.reason{display:grid;grid-template-columns:2.6rem minmax(0,1fr);gap:.4rem;padding:.55rem 0;border-top:1px solid var(--line)}
.reason[hidden],.step[hidden],.recipe[hidden]{display:none}
.times{color:var(--soft);font-weight:650}
.nodes{display:block;color:var(--soft);font-size:.8125rem;margin-top:.15rem;overflow-wrap:anywhere}
.nodes code{margin-right:.7em}
.rest{color:var(--soft);font-size:.8125rem}
.stack{border-radius:3px;overflow:hidden}
.stack .quantized{fill:var(--good-fill)}.stack .float{fill:var(--base-fill)}.stack .leftover{fill:var(--warn-line)}.stack .casts{fill:var(--bad-fill)}
.stack-key{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.8125rem;color:var(--soft)}
.stack-key b{color:var(--ink)}
.stack-key li::before{content:"";display:inline-block;width:.65em;height:.65em;border-radius:2px;margin-right:.45em;background:var(--c)}
.stack-key .quantized{--c:var(--good-fill)}.stack-key .float{--c:var(--base-fill)}.stack-key .leftover{--c:var(--warn-line)}.stack-key .casts{--c:var(--bad-fill)}
`;
