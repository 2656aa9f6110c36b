/**
 * The style of every page. A sign, word or form shows states and phases as well as a colour does. The colours are those
 * of Okabe and Ito, which colour-blind people can distinguish, darkened or lightened until text in them has the
 * contrast of WCAG's level AA.
 */
export const PAGE_STYLES = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#ffffff, #15181d);
  --raised: light-dark(#f5f6f8, #1d2127);
  --ink: light-dark(#1c2127, #dfe3e8);
  --dim: light-dark(#59616d, #9da6b3);
  --line: light-dark(#d9dde3, #343a44);
  --link: light-dark(#0b57a4, #7db8f5);
  --ok: light-dark(#006b4f, #4fd0a5);
  --changed: light-dark(#8a5200, #f0b352);
  --failed: light-dark(#b3261e, #ff8b7b);
  --skipped: light-dark(#1f5c99, #82b9f2);
  --lost: light-dark(#8a2e6d, #e89ccb);
  --connect: light-dark(#3d9bd6, #56b4e9);
  --authenticate: light-dark(#0072b2, #2f8fd0);
  --upload: light-dark(#b8558f, #cc79a7);
  --start: light-dark(#c98a00, #e69f00);
  --facts: light-dark(#8c8a1c, #d6cb35);
  --tasks: light-dark(#008f68, #0fae80);
  --wait: light-dark(#7d8590, #8a93a0);
  --collect: light-dark(#d55e00, #e8762d);
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
* { box-sizing: border-box; }
html { scroll-padding-top: 5rem; }
body { margin: 0 auto; padding: 0 1rem 2rem; max-width: 100rem; background: var(--paper); color: var(--ink);
  font: 0.875rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.1rem; margin: 0 0 0.5rem; }
h3 { font-size: 0.95rem; margin: 0 0 0.25rem; }
p { margin: 0 0 0.5rem; max-width: 75ch; }
a { color: var(--link); }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.8125rem; }
.vh { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.dim, .amount, .subtitle { color: var(--dim); font-weight: normal; }
.skip { position: absolute; left: 1rem; top: -4rem; padding: 0.5rem 1rem; background: var(--paper); z-index: 3; }
.skip:focus { top: 0.5rem; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
main:focus { outline: none; }
header { padding-top: 1rem; }
.head { display: flex; gap: 1rem; align-items: start; justify-content: space-between; }
button, input { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--wait);
  border-radius: 4px; padding: 0.2rem 0.6rem; }
button { cursor: pointer; }
#theme { flex: none; }
.toolbar { position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: 0.35rem 1.5rem;
  align-items: center; justify-content: space-between; padding: 0.5rem 0; margin-bottom: 1rem;
  background: var(--paper); border-bottom: 1px solid var(--line); }
nav ul { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; margin: 0; padding: 0; list-style: none; }
.search { display: flex; flex-wrap: wrap; gap: 0.35rem 0.6rem; align-items: center; }
.search[hidden] { display: none; }
::placeholder { color: var(--dim); opacity: 1; }
.search input { width: 17rem; max-width: 100%; }
#found { color: var(--dim); }
section { margin: 0 0 2rem; }
.note { padding: 0.5rem 0.75rem; border-left: 4px solid var(--changed); background: var(--raised); max-width: none; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.75rem; margin-bottom: 1rem; }
.tiles > div { padding: 0.6rem 0.8rem; background: var(--raised); border: 1px solid var(--line); border-radius: 6px; }
.tiles ul, .notes, .legend { list-style: none; margin: 0; padding: 0; }
.plays { margin: 0; padding-left: 1.6rem; columns: 18rem; }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1rem; margin-bottom: 0.5rem; }
.key { width: 16px; height: 12px; margin-right: 0.35rem; vertical-align: -1px; }
.scroll { overflow: auto; max-height: 75vh; border: 1px solid var(--line); border-radius: 6px; margin-bottom: 0.75rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 0.2rem 0.5rem; font-weight: normal; overflow-wrap: normal; }
tbody th { min-width: 8rem; }
thead th { position: sticky; top: 0; z-index: 1; vertical-align: bottom; font-weight: 600; background: var(--raised); border-bottom: 1px solid var(--line); }
tbody tr + tr > * { border-top: 1px solid var(--line); }
th .dim { display: block; font-size: 0.8125rem; }
.actions tbody th { min-width: 16rem; }
td.n, th.n { text-align: right; white-space: nowrap; }
.fit th.n { white-space: normal; }
.fit tbody th, .across thead th { overflow-wrap: anywhere; }
.across { width: auto; }
.across th.n { min-width: 4.5rem; max-width: 14rem; }
.scroll:has(> .across) { width: fit-content; max-width: 100%; }
th .sort { all: unset; cursor: pointer; display: inline; text-decoration: underline dotted var(--dim); text-underline-offset: 3px; }
th .sort:hover { text-decoration: underline; }
th .sort:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
th[aria-sort="ascending"] .sort::after { content: " \\2191"; content: " \\2191" / ""; }
th[aria-sort="descending"] .sort::after { content: " \\2193"; content: " \\2193" / ""; }
.wide { width: 40%; min-width: 18rem; }
td.wide { padding-left: 0; padding-right: 0; background: linear-gradient(90deg, var(--line) 1px, transparent 1px) 0 0/25% 100%; }
th.wide { padding-left: 0; padding-right: 0; }
.bars .wide { width: 75%; min-width: 10rem; }
.axis { display: flex; justify-content: space-between; color: var(--dim); font-weight: normal; font-size: 0.75rem; }
.bar { display: block; width: 100%; height: 12px; margin: 0.25rem 0; }
.open-host { all: unset; cursor: pointer; color: var(--link); }
.open-host::before { content: "\\25B8"; content: "\\25B8" / ""; display: inline-block; width: 1em; }
.open-host[aria-expanded="true"]::before { content: "\\25BE"; content: "\\25BE" / ""; }
.open-host:focus-visible { outline: 2px solid var(--link); outline-offset: 1px; }
tr.detail > td { background: var(--raised); padding: 0.6rem 1rem; }
tr.detail th { position: static; }
tr.detail .dim { display: inline; }
tr.detail table { width: auto; max-width: 60rem; }
.none { color: var(--dim); }
.s { white-space: nowrap; }
.ok, .unchanged { color: var(--ok); }
.changed, .yellow { color: var(--changed); }
.failed, .ignored { color: var(--failed); font-weight: 600; }
.skipped, .cancelled, .cyan { color: var(--skipped); }
.unreachable, .lost, .notExecuted, .rescued, .unknown, .magenta, .open { color: var(--lost); }
.none { font-weight: normal; }
.p-connect { fill: var(--connect); } .p-authenticate { fill: var(--authenticate); } .p-upload { fill: var(--upload); }
.p-start { fill: var(--start); } .p-facts { fill: var(--facts); } .p-tasks { fill: var(--tasks); }
.p-wait, .p-away { fill: var(--wait); } .p-collect { fill: var(--collect); } .p-build { fill: var(--lost); }
.reach { fill: var(--authenticate); fill-opacity: 0.25; } .range { fill: var(--authenticate); } .median { fill: var(--ink); }
.failure { border: 1px solid var(--line); border-left: 4px solid var(--failed); border-radius: 4px;
  padding: 0.6rem 0.8rem; margin-bottom: 0.75rem; }
pre.text { margin: 0.25rem 0 0.5rem; padding: 0.5rem 0.75rem; background: var(--raised); border-radius: 4px;
  white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4; }
ins, del { text-decoration: none; }
pre.error del { color: var(--failed); }
pre.diff ins { color: var(--ok); } pre.diff del { color: var(--failed); }
summary { cursor: pointer; padding: 0.15rem 0; }
.change { border-bottom: 1px solid var(--line); }
.notes li, .items li { padding: 0.1rem 0; }
dt { font-weight: 600; } dd { margin: 0 0 0.35rem 1rem; }
footer { color: var(--dim); }
[data-hidden] { display: none; }
.plot { display: block; width: 100%; min-width: 36rem; max-width: 60rem; height: auto; }
.scroll.bare { border: 0; max-height: none; }
.phrase { min-width: 12rem; }
.plot text { fill: var(--ink); font: 13px system-ui, sans-serif; } .plot .small { fill: var(--dim); font-size: 12px; }
.plot .grid { stroke: var(--line); } .plot .dot { fill: var(--authenticate); fill-opacity: 0.65; }
.plot .box { fill: none; stroke: var(--ink); } .plot .middle { stroke: var(--ink); stroke-width: 3; }
.plot .estimate { fill: var(--authenticate); } .plot .interval { stroke: var(--ink); stroke-width: 2; } .plot .even { stroke: var(--dim); stroke-dasharray: 4 3; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
@media (max-width: 40rem) {
  html { scroll-padding-top: 1rem; }
  .toolbar { position: static; }
  .search, .search input { width: 100%; }
  .wide { min-width: 14rem; }
  .bars .wide { min-width: 10rem; }
  .fit tbody th { min-width: 6rem; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
@media print {
  :root { color-scheme: light !important; }
  body { max-width: none; padding: 0; font-size: 9pt; }
  .toolbar, #theme, .skip, footer { display: none; }
  .scroll { overflow: visible; max-height: none; border: 0; }
  thead th { position: static; }
  .wide { min-width: 6rem; width: 25%; }
  .axis { display: none; }
  table { font-size: 8pt; }
  th.n { white-space: normal; }
  thead th { font-size: 7pt; }
  th .dim { font-size: inherit; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  tbody th, .actions tbody th { min-width: 7rem; }
  th .sort::after, .open-host::before { content: none !important; }
  th .sort { text-decoration: none; }
  thead { display: table-header-group; }
  tr, .failure { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  th, td { padding: 0.1rem 0.3rem; }
  .bar, .key, .plot { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
