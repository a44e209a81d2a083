"""How the page looks: light and dark, on a phone and on paper; nothing is loaded."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --raised: #f5f6f8; --ink: #1b1f24; --faint: #555d68; --rule: #d5d9df;
  --bar: #2b6cb0; --soft: #bcd4ec; --bad: #b3261e; --good: #1a6b3c; --warn: #8a5300; --link: #1a5fb4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15181c; --raised: #1e2329; --ink: #e6e9ed; --faint: #a6afba; --rule: #3a424c;
    --bar: #6ea8e0; --soft: #2c4a68; --bad: #ff8a80; --good: #7bd49b; --warn: #f0b45b; --link: #8ab8f0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 60rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
footer { padding: 2rem 1rem; color: var(--faint); font-size: 0.875rem; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 0.75rem; padding-bottom: 0.25rem; border-bottom: 1px solid var(--rule); font-size: 1.25rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 0.5rem; padding: 0.5rem; background: var(--ground); }
.outcome { margin: 0.5rem 0 0; font-size: 1.1rem; font-weight: 600; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(max(7.25rem, 22%), 1fr)); gap: 0.75rem; }
.facts { margin: 1.25rem 0; }
.facts div { padding: 0.6rem 0.75rem; background: var(--raised); border-radius: 0.4rem; }
.facts dt { color: var(--faint); font-size: 0.875rem; }
.facts dd { margin: 0; font-size: 1.2rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; margin: 0.5rem 0 1rem; font-size: 0.9375rem; }
caption { padding: 0.25rem 0; text-align: left; color: var(--faint); font-size: 0.875rem; }
th, td { padding: 0.35rem 0.75rem 0.35rem 0; border-bottom: 1px solid var(--rule); }
th, td { text-align: left; vertical-align: top; }
th { font-weight: 600; }
tbody th { font-weight: 400; overflow-wrap: anywhere; }
tbody th:not(.number) { min-width: 5.5rem; }
td { min-width: 4rem; overflow-wrap: anywhere; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bars th { width: 30%; } .barcell { width: 55%; padding-right: 0.75rem; } .bars td, .bars th { border-bottom: 0; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.scroll .strip { min-width: 10rem; }
.strip { display: block; width: 100%; height: 1.1rem; background: var(--raised); border-radius: 0.2rem; }
figure { margin: 0 0 1.5rem; }
figcaption { font-size: 0.9375rem; }
.top, .axis { color: var(--faint); font-size: 0.875rem; font-variant-numeric: tabular-nums; }
.axis { display: flex; justify-content: space-between; gap: 1rem; }
.axis span:last-child { text-align: right; }
.plot { display: block; width: 100%; height: 9rem; border-bottom: 1px solid var(--faint); }
.area { fill: var(--soft); } .bar { fill: var(--bar); } .failed { fill: var(--bad); } .again { fill: var(--warn); }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.25rem; margin: 0.25rem 0; padding: 0; list-style: none; }
.legend li { font-size: 0.875rem; } .key { display: inline-block; width: 0.8rem; height: 0.8rem; margin-right: 0.4rem; }
.key.bar { background: var(--bar); } .key.failed { background: var(--bad); } .key.again { background: var(--warn); }
.line { fill: none; stroke: var(--bar); stroke-width: 2; vector-effect: non-scaling-stroke; }
details { margin: 0.5rem 0; } summary { cursor: pointer; padding: 0.35rem 0; }
code, bdi { font-family: ui-monospace, monospace; font-size: 0.9em; overflow-wrap: anywhere; }
.sheet { display: flex; flex-wrap: wrap; gap: 0.75rem; margin: 0; padding: 0; list-style: none; }
.sheet li { width: 9rem; } .sheet img { max-width: 100%; height: auto; border: 1px solid var(--rule); }
.sheet bdi { display: block; font-size: 0.75rem; }
@media print { .skip { display: none; } details > * { display: block; } }
"""
