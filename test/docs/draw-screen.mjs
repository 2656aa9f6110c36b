// Draws screens of terminals for the documentation.

const CELL_WIDTH = 8.4;
const CELL_HEIGHT = 18;
const MARGIN = 16;
const BAR = 30;
const PAPER = "#14171c";
const INK = "#d5d9e0";
const COLOURS = ["#4b5261", "#f0717a", "#7fd08a", "#e5c07b", "#6cb2f7", "#c792ea", "#5fc9d8", "#d5d9e0"];
const BRIGHT = ["#717a8c", "#ff8f97", "#9be8a5", "#f7d794", "#8fc7ff", "#d9aef5", "#85e0ec", "#ffffff"];

const ESCAPE = String.fromCharCode(27);
const PIECES = new RegExp(`(?:${ESCAPE}\\[([\\d;]*)m)|([^${ESCAPE}]+)`, "g");

/** A screen as tmux captures it (`capture-pane -e`) as an SVG: text in the reader's own monospace font, each run of one style at its column. */
export function drawScreen(text, { columns, rows: lines, title }) {
  const width = columns * CELL_WIDTH + 2 * MARGIN;
  const height = lines * CELL_HEIGHT + 2 * MARGIN + BAR;
  let style = {};
  const rows = text
    .split("\n")
    .slice(0, lines)
    .map((line, row) => {
      const drawn = [];
      let column = 0;
      for (const [, codes, run] of line.matchAll(PIECES)) {
        if (run === undefined) style = restyle(style, codes);
        else {
          drawn.push(drawRun(run, column, row, style));
          column += [...run].length;
        }
      }
      return drawn.join("");
    });
  const lamps = ["#f0717a", "#e5c07b", "#7fd08a"].map(
    (colour, index) => `<circle cx="${MARGIN + 6 + index * 20}" cy="18" r="6" fill="${colour}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">
<rect width="100%" height="100%" rx="8" fill="${PAPER}"/>
${lamps.join("")}<text x="${width / 2}" y="22" fill="${BRIGHT[0]}" text-anchor="middle">${title}</text>
${rows.filter((row) => row !== "").join("\n")}
</svg>
`;
}

function drawRun(run, column, row, { colour, back, bold, dim, inverse }) {
  const x = (MARGIN + column * CELL_WIDTH).toFixed(1);
  const y = BAR + MARGIN + row * CELL_HEIGHT;
  const cells = [...run].length;
  const length = (cells * CELL_WIDTH).toFixed(1);
  const paper = inverse ? (colour ?? INK) : back;
  const behind =
    paper === undefined
      ? ""
      : `<rect x="${x}" y="${y}" width="${length}" height="${CELL_HEIGHT}" fill="${paper}"/>`;
  if (run.trim() === "") return behind;
  const text = run.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const weight = bold ? ' font-weight="bold"' : "";
  const opacity = dim ? ' opacity="0.55"' : "";
  const fill = inverse ? (back ?? PAPER) : (colour ?? INK);
  return `${behind}<text x="${x}" y="${y + 13}" textLength="${length}" xml:space="preserve" fill="${fill}"${weight}${opacity}>${text}</text>`;
}

/** The style after a control sequence (ECMA-48, Select Graphic Rendition). */
function restyle(before, codes) {
  let style = { ...before };
  const left = codes.split(";").map(Number);
  for (let code = left.shift(); code !== undefined; code = left.shift()) {
    if (code === 38 && left[0] === 5) style.colour = indexed(left.splice(0, 2)[1]);
    else if (code === 48 && left[0] === 5) style.back = indexed(left.splice(0, 2)[1]);
    else if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 7) style.inverse = true;
    else if (code === 22) style = { ...style, bold: false, dim: false };
    else if (code === 27) style.inverse = false;
    else if (code >= 30 && code <= 37) style.colour = COLOURS[code - 30];
    else if (code === 39) style.colour = undefined;
    else if (code >= 40 && code <= 47) style.back = COLOURS[code - 40];
    else if (code === 49) style.back = undefined;
    else if (code >= 90 && code <= 97) style.colour = BRIGHT[code - 90];
    else if (code >= 100 && code <= 107) style.back = BRIGHT[code - 100];
  }
  return style;
}

/** A colour of xterm's palette. */
function indexed(index) {
  if (index < 8) return COLOURS[index];
  if (index < 16) return BRIGHT[index - 8];
  if (index >= 232) return `rgb(${Array(3).fill(8 + (index - 232) * 10)})`;
  const level = (part) => (part === 0 ? 0 : 55 + 40 * part);
  const cube = index - 16;
  return `rgb(${[Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level)})`;
}
