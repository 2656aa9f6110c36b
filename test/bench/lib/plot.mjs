const COLOURS = ["#2563eb", "#dc2626", "#059669", "#d97706"];
const [WIDTH, HEIGHT, LEFT, TOP, PANEL] = [430, 240, 50, 64, 500];

/** Draw lines over a logarithmic axis of hosts as an SVG, panels side by side. */
export function drawPlot(title, panels) {
  const drawn = panels.map(
    (panel, index) => `<g transform="translate(${index * PANEL} 0)">${drawPanel(panel)}</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${panels.length * PANEL}" height="430" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="16" y="24" font-size="15">${title}</text>
${drawn.join("\n")}
</svg>
`;
}

function drawPanel({ title, lines }) {
  const all = lines.flatMap(({ points }) => points);
  const hosts = [...new Set(all.map(([x]) => x))].sort((a, b) => a - b);
  const [low, high] = [Math.log(hosts[0]), Math.log(hosts.at(-1))];
  const step = stepOf(Math.max(...all.map(([, y]) => y)));
  const top = step * Math.ceil(Math.max(...all.map(([, y]) => y)) / step);
  const x = (value) => (LEFT + (WIDTH * (Math.log(value) - low)) / Math.max(high - low, 1)).toFixed(1);
  const y = (value) => (TOP + HEIGHT * (1 - value / top)).toFixed(1);
  const marks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  return [
    `<text x="${LEFT}" y="${TOP - 14}">${title}</text>`,
    ...marks.map(
      (value) =>
        `<path d="M${LEFT} ${y(value)}h${WIDTH}" stroke="#d4d4d8"/><text x="${LEFT - 6}" y="${y(value)}" dy="4" text-anchor="end">${value}</text>`,
    ),
    ...hosts.map(
      (value) => `<text x="${x(value)}" y="${TOP + HEIGHT + 18}" text-anchor="middle">${value}</text>`,
    ),
    ...lines.map(({ name, points }, index) => {
      const colour = COLOURS[index % COLOURS.length];
      const path = points.map(([a, b]) => `${x(a)},${y(b)}`).join(" ");
      const dots = points.map(([a, b]) => `<circle cx="${x(a)}" cy="${y(b)}" r="3"/>`).join("");
      const atY = TOP + HEIGHT + 44 + index * 18;
      return `<g fill="${colour}"><polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}<text x="${LEFT}" y="${atY}">● ${name}</text></g>`;
    }),
  ].join("\n");
}

/** Return a round distance of marks for some five of them. */
function stepOf(highest) {
  const power = 10 ** Math.floor(Math.log10(highest / 5));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => highest / step <= 6);
}
