#include "launcher/page/style.h"

namespace zerorun::page {

// Three families of hue, told apart by people who do not see all colours too: blue is what stays, green what moves between ranks, orange what computing takes.
// Within a family lightness differs.
const char* const kStyle = R"(
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --soft: #5a6370; --line: #e3e6ea; --track: #f3f5f7; --accent: #1f5fa8; --good: #1a7f5a; --bad: #b3261e;
  --parameters: #1d4e89; --gradients: #5b93cf; --optimizer: #b5d2ee; --gathered: #0f766e; --communication: #74c7b8;
  --activations: #e08a1e; --workspace: #f6cf8b; --unscoped: #a3195b; --host: #6b5aa6; --disk: #b9aee0;
  --on-dark: #ffffff; --on-light: #1b1f24;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e8eaed; --soft: #9aa4b0; --line: #2c323a; --track: #1e2329; --accent: #7db4f0; --good: #5cc79b; --bad: #ff8a80;
    --parameters: #2f6db5; --gradients: #6ea6e0; --optimizer: #b9d6f2; --gathered: #14857b; --communication: #7fd0c1;
    --activations: #dd8a2a; --workspace: #f2cd8d; --unscoped: #c2407c; --host: #7463b8; --disk: #c5bbea;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 60rem; padding: 3rem 2rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: break-word; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 1.25rem; margin: 3.5rem 0 0.75rem; font-weight: 650; letter-spacing: -0.005em; }
h3 { font-size: 1rem; margin: 2rem 0 0.5rem; font-weight: 600; }
p { margin: 0 0 0.75rem; max-width: 44rem; }
.over { color: var(--soft); font-size: 0.875rem; margin: 0 0 0.25rem; }
.lead { font-size: 1.0625rem; margin-top: 0.75rem; }
.note, .soft, figcaption { color: var(--soft); }
.note, figcaption { font-size: 0.875rem; }
figcaption strong { color: var(--ink); font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1.5rem; margin: 2rem 0 0; padding: 1.25rem 0; border: solid var(--line); border-width: 1px 0; }
.figures div { min-width: 0; }
.figures dt { color: var(--soft); font-size: 0.875rem; }
.figures dd { margin: 0; }
.figures .big { font-size: 1.5rem; font-weight: 600; line-height: 1.3; letter-spacing: -0.01em; }
.figures .small { font-size: 0.875rem; color: var(--soft); }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.25rem 1.5rem; margin: 0; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; }
figure { margin: 0.75rem 0 1rem; overflow: hidden; padding-top: 1px; }
svg { display: block; }
.plot { overflow: visible; margin: 12px 10px 30px 72px; width: calc(100% - 82px); font-size: 12px; }
.plot.timeline { margin-top: 30px; margin-bottom: 54px; }
.plot.bars { margin: 0; width: 100%; font-size: 14px; }
.plot svg { overflow: visible; }
.grid { stroke: var(--line); stroke-width: 1; }
.tick { fill: var(--soft); } .phase { fill: var(--ink); font-weight: 600; } .strong { fill: var(--ink); font-weight: 600; }
.name { fill: var(--ink); } .value { fill: var(--soft); }
.border { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 1 3; opacity: 0.8; }
.hint { fill: transparent; } .hint:hover { fill: var(--ink); fill-opacity: 0.07; }
path.line { fill: none; stroke: var(--accent); stroke-width: 1.75; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
circle.line { fill: var(--accent); } circle.validation { fill: var(--paper); stroke: var(--activations); stroke-width: 2.5; }
circle.peak { fill: var(--ink); stroke: var(--paper); stroke-width: 2; }
path.area { stroke: var(--c); stroke-width: 0.75; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.inside { font-weight: 600; } .strong, .inside { pointer-events: none; }
rect.track { fill: var(--track); }
rect.bar.predicted { fill-opacity: 0.35; }
.parameters { --c: var(--parameters); } .gradients { --c: var(--gradients); } .optimizer { --c: var(--optimizer); } .gathered { --c: var(--gathered); }
.communication { --c: var(--communication); } .activations { --c: var(--activations); } .workspace { --c: var(--workspace); } .unscoped { --c: var(--unscoped); }
.host { --c: var(--host); } .disk { --c: var(--disk); } .plain { --c: var(--accent); }
.area, .bar { fill: var(--c); }
.on-parameters, .on-gathered, .on-host, .on-unscoped { fill: var(--on-dark); }
.on-gradients, .on-optimizer, .on-communication, .on-activations, .on-workspace, .on-disk { fill: var(--on-light); }
.swatch { display: inline-block; width: 0.75em; height: 0.75em; margin-right: 0.5em; border-radius: 2px; background: var(--c, var(--soft)); flex: none; }
.swatch.line { height: 3px; width: 1.25em; vertical-align: middle; background: var(--accent); }
.swatch.validation { border-radius: 50%; background: none; border: 2.5px solid var(--activations); }
.swatch.hollow { opacity: 0.35; }
.key { margin-right: 1.25em; white-space: nowrap; }
.legend { list-style: none; margin: 0 0 1rem; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 0.25rem 2rem; font-size: 0.875rem; }
.legend li { display: flex; align-items: baseline; border-bottom: 1px solid var(--line); padding: 0.2rem 0; }
.legend .value { margin-left: auto; }
.small-curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 0.5rem 1.5rem; }
.scroll { overflow-x: auto; margin: 0.5rem 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; white-space: nowrap; }
th, td { padding: 0.35rem 0 0.35rem 1.25rem; text-align: right; font-weight: 400; border-bottom: 1px solid var(--line); }
th:first-child { padding-left: 0; text-align: left; }
thead th { color: var(--soft); }
td.soft { padding-left: 0.75rem; }
table.times, table.noted { width: auto; } table.noted td.soft { text-align: left; padding-left: 1.25rem; }
tr.total th, tr.total td { font-weight: 600; border-top: 1px solid var(--soft); }
tr.soft th, tr.soft td { color: var(--soft); } tr.inner th { padding-left: 1.25em; }
details { margin: 0.75rem 0; } summary { cursor: pointer; padding: 0.25rem 0; }
pre { overflow-x: auto; background: var(--track); padding: 1rem; border-radius: 6px; font: 0.8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
code { font: 0.9em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
footer { margin-top: 4rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: 0.875rem; }
.narrow { display: none; }
@media (max-width: 720px) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  .wide { display: none; } .narrow { display: inline; }
  .plot { margin-left: 56px; margin-right: 8px; width: calc(100% - 64px); font-size: 11px; }
  .plot.bars { font-size: 13px; }
  .facts { grid-template-columns: 1fr; gap: 0; } .facts dd { margin-bottom: 0.5rem; }
  table.noted { width: 100%; white-space: normal; } table.noted tr { display: grid; grid-template-columns: 1fr auto; border-bottom: 1px solid var(--line); }
  table.noted th, table.noted td { border: 0; } table.noted td.soft { grid-column: 1 / -1; padding: 0 0 0.35rem; } table.noted td.soft:empty { padding: 0; }
  .figures { grid-template-columns: 1fr 1fr; gap: 1rem; } .figures .big { font-size: 1.25rem; }
}
@media print { body { max-width: none; padding: 0; } }
)";

}  // namespace zerorun::page
