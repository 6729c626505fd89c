/** Colours, type and the frame of the page. Colours are checked for contrast in test/reports/browser.test.ts. */
export const baseStyle = `
:root{color-scheme:light dark;
--bg:#f5f4ef;--panel:#fffefb;--ink:#17191c;--soft:#565d66;--faint:#c9c5ba;--line:#e3dfd4;--track:#ebe7dc;
--good:#0b6b4a;--good-fill:#12936a;--good-bg:#ddf0e7;
--ok:#2c568f;--ok-fill:#5b87c4;--ok-bg:#e3ebf6;
--bad:#a5351f;--bad-fill:#d0705b;--bad-bg:#f9e5de;
--base:#4a4f56;--base-fill:#8b9098;--base-bg:#e9e7e0;
--warn:#6f4a00;--warn-bg:#fdf0cc;--warn-line:#e5c772;
--sans:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans","Liberation Sans",Arial,sans-serif;
--mono:ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media (prefers-color-scheme:dark){:root{
--bg:#101315;--panel:#171b1e;--ink:#ecebe6;--soft:#a4acb4;--faint:#4a525a;--line:#282e33;--track:#252b30;
--good:#5fd3a4;--good-fill:#2fae80;--good-bg:#12352a;
--ok:#94bbf0;--ok-fill:#4f7fc0;--ok-bg:#1a2a40;
--bad:#f29c87;--bad-fill:#c4624c;--bad-bg:#3d2019;
--base:#bcc2c9;--base-fill:#767e87;--base-bg:#2a3036;
--warn:#f4cf7c;--warn-bg:#352a10;--warn-line:#6d571f}}
*,*::before,*::after{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--bg);color:var(--ink);font:400 1rem/1.55 var(--sans);font-variant-numeric:tabular-nums;overflow-wrap:break-word}
h1,h2,h3,h4,p,ul,ol,dl,dd,figure,pre{margin:0;padding:0}
ul,ol{list-style:none}
small{font-size:.8125rem}
code,pre{font-family:var(--mono);font-size:.875em;overflow-wrap:anywhere}
a{color:inherit;text-underline-offset:.2em}
:focus-visible{outline:2px solid var(--ok);outline-offset:3px;border-radius:3px}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:-999px;top:0;padding:.6rem 1rem;background:var(--ink);color:var(--bg);z-index:2}
.skip:focus{left:0}
.soft{color:var(--soft)}
.top{display:flex;justify-content:space-between;gap:1rem;align-items:center;max-width:76rem;margin:0 auto;padding:1.25rem 1.5rem;color:var(--soft);font-size:.875rem}
.brand{display:flex;align-items:center;gap:.6rem;color:var(--ink);font-weight:700;letter-spacing:-.01em;font-size:1rem}
.brand svg{width:1.5rem;height:1.5rem;flex:none}
.brand span{font-weight:400;color:var(--soft)}
.frame{max-width:76rem;margin:0 auto;padding:0 1.5rem 4rem;display:grid;grid-template-columns:minmax(0,1fr)}
main{min-width:0}
.toc{font-size:.875rem;color:var(--soft);order:0;margin-bottom:.5rem}
.toc ol{display:flex;gap:.25rem 1.1rem;overflow-x:auto;padding:.3rem 0}
.toc a{text-decoration:none;display:block;padding:.15rem 0;white-space:nowrap}
.toc a:hover{color:var(--ink);text-decoration:underline}
@media (min-width:72rem){
.frame{grid-template-columns:10.5rem minmax(0,1fr);column-gap:3rem}
.toc{position:sticky;top:1.5rem;align-self:start;padding-top:2.2rem;margin:0}
.toc ol{flex-direction:column;overflow:visible;border-left:2px solid var(--line);padding:0 0 0 1rem}}
section{margin-top:4rem;scroll-margin-top:1rem}
section>h2{font-size:1.5rem;line-height:1.2;letter-spacing:-.018em;font-weight:680}
.lede{color:var(--soft);max-width:44rem;margin:.4rem 0 1.4rem}
h3{font-size:1.0625rem;font-weight:650;letter-spacing:-.008em;line-height:1.35}
.foot{max-width:76rem;margin:0 auto;padding:1.5rem;border-top:1px solid var(--line);color:var(--soft);font-size:.8125rem;display:flex;gap:.4rem 1.5rem;flex-wrap:wrap}
.hero{margin-top:1.6rem}
.eyebrow{font:500 .875rem/1.4 var(--mono);color:var(--soft);overflow-wrap:anywhere}
h1{font-size:clamp(1.75rem,1.15rem + 2.6vw,2.9rem);line-height:1.12;letter-spacing:-.028em;font-weight:500;margin:.7rem 0 1rem;color:var(--soft);text-wrap:balance;overflow-wrap:anywhere}
h1 .line{display:block}
h1 .line+.line{margin-top:.6em}
h1 strong{display:block;color:var(--ink);font-weight:720}
h1 .line-facts{display:block;font-size:max(1.1875rem,.56em);line-height:1.3;letter-spacing:-.015em;margin-top:.55em}
h1 .fact{display:inline-block}
h1 .no{color:var(--bad)}
.judged{color:var(--soft);max-width:46rem}
.notice{border-left:4px solid var(--warn-line);background:var(--warn-bg);color:var(--warn);padding:.7rem 1rem;border-radius:0 .4rem .4rem 0;max-width:50rem;margin-top:.8rem;font-size:.9375rem}
.tiles+.notice{margin-top:1.2rem}
.notice+.judged{margin-top:.8rem}
.notice.loud{border:2px solid var(--warn-line);border-left-width:10px;font-size:1.0625rem;padding:1rem 1.2rem}
.notice.loud b{display:block;font-size:1.25rem;letter-spacing:-.01em}
.notice.bad{border-color:var(--bad-fill);background:var(--bad-bg);color:var(--bad)}
.loud-text{color:var(--warn);background:var(--warn-bg);padding:.05em .4em;border-radius:.25em}
`;
