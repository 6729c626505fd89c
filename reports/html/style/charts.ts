import { mostTips } from '../charts/scatter.ts';

/** Details of a point show while it is pointed at or focused: they are drawn last, above all points. */
const tips = Array.from(
  { length: mostTips },
  (_, at) => `.scatter:has(.p${at}:hover,.p${at}:focus-visible) .t${at}`,
).join(',');

export const chartStyle = `
.chart{display:block;width:100%;height:auto}
.chart.narrow{display:none}
@media (max-width:36rem){.chart.wide{display:none}.chart.narrow{display:block}}
.chart.wide text{font-size:13px}
.chart text{font:12px var(--sans);fill:var(--soft);font-variant-numeric:tabular-nums}
.chart .better{fill:var(--good-bg);opacity:.65}
.scatter .hit{fill:transparent}
.scatter a{cursor:pointer;outline:none}
.scatter a:focus-visible .hit{stroke:var(--ok);stroke-width:2}
.tip{visibility:hidden;pointer-events:none}
.tip rect{fill:var(--panel);stroke:var(--k);stroke-width:1.2}
.chart .tip text{fill:var(--ink)}
.chart .tip .tip-name{font-weight:650;fill:var(--k)}
.chart .better-label{fill:var(--good)}
.chart .grid{stroke:var(--line);stroke-width:1}
.chart .grid.one{stroke:var(--base-fill);stroke-dasharray:3 3}
.chart .front{fill:none;stroke:var(--good-fill);stroke-width:1.5;stroke-dasharray:1 4;stroke-linecap:round}
.chart .dot{fill:var(--kf);stroke:var(--panel);stroke-width:1.5}
.chart .halo{fill:none;stroke:var(--kf);stroke-width:1.5;opacity:.7}
.chart .cross{fill:none;stroke:var(--kf);stroke-width:2.6;stroke-linecap:round}
.chart .whisker{fill:none;stroke:var(--kf);stroke-width:1.4}
.chart .point text{paint-order:stroke;stroke:var(--panel);stroke-width:3.5px;stroke-linejoin:round}
.chart .name{font-weight:650;fill:var(--k)}
.chart .note{font-size:.92em;fill:var(--soft)}
.chart .point:hover .name,.chart .point:focus-visible .name{text-decoration:underline}
.bars li{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:.1rem .8rem;margin-top:.75rem;font-size:.8125rem}
.bars .bar{grid-column:1/-1}
.bar-name{display:flex;gap:.4em;align-items:center;min-width:0}
.bar-name.whole{grid-column:1/-1}
.bar-name .vname{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.bar-value{color:var(--soft);text-align:right}
.bar-value b{color:var(--ink)}
.bar,.stack{display:block}
.track{fill:var(--track)}
.bar .fill{fill:var(--kf)}
.bar .one{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:2 2}
.bar .whisker{stroke:var(--ink);stroke-width:2.5;opacity:.75}
.bars .bar-why{grid-column:1/-1;color:var(--soft);margin-top:.2rem}
.dists .grid,.strip .grid{stroke:var(--line);stroke-width:1}
.dist{overflow:visible}
.dist .density{fill:var(--kf);opacity:.45}
.dist .mark{stroke:var(--k);stroke-width:1.5}
.dist .median{stroke-width:2.5}
.dist .tail{stroke:var(--k);stroke-width:1.2;opacity:.6}
.time-axis{overflow:visible}
.time-axis.chart{height:18px}
.strip.chart{height:96px;overflow:visible}
.strip .steps-line{fill:none;stroke:var(--kf);stroke-width:1.6;vector-effect:non-scaling-stroke}
.dumbbells .rail{stroke:var(--track);stroke-width:3}
.dumbbells .fell{stroke:var(--bad-fill);stroke-width:2.5}
.dumbbells .rose{stroke:var(--good-fill);stroke-width:2.5}
.dumbbells .was{fill:var(--base-fill)}
.dumbbells .is{fill:var(--kf);stroke:var(--panel);stroke-width:1.2}
${tips}{visibility:visible}
`;
