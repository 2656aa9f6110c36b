import { type FormatOptions, paint } from "../inventory/format.ts";
import { actions, findAction, summaryOf } from "./reference/actions.ts";
import { callText } from "./reference/literal.ts";
import { constraintsOf, type Parameter, parametersOf } from "./reference/schema.ts";
import { taskOptions } from "./reference/words.ts";
import { paragraph, renderMarkdown, wrap } from "./reference/wrap.ts";

const PLAIN: FormatOptions = { color: false, columns: 80 };
const MAX_COLUMNS = 100;

/** Every action with its summary, for a terminal. */
export function listActions(options: FormatOptions = PLAIN): string {
  const { bold, dim } = paint(options.color);
  const columns = Math.min(options.columns, MAX_COLUMNS);
  const width = Math.max(...[...actions.keys()].map((name) => name.length));
  const rows = [...actions.values()].map(({ name, doc }) => {
    const text = paragraph(summaryOf(doc), " ".repeat(width + 4), { ...options, columns });
    return `  ${bold(name)}${text.slice(name.length + 2)}`;
  });
  return `${rows.join("")}\n${dim("`volley doc ACTION` shows one with its parameters and examples.")}\n`;
}

/** One action's description, parameters and examples, for a terminal. Fails with `USAGE` when there is none of that name. */
export function documentAction(name: string, options: FormatOptions = PLAIN): string {
  const action = findAction(name);
  const { bold, dim } = paint(options.color);
  const layout = { ...options, columns: Math.min(options.columns, MAX_COLUMNS) };
  const constraints = constraintsOf(action.params);
  const parameters = parametersOf(action.params);
  const sections = [
    `${bold(action.name)}\n${renderMarkdown(action.doc, "  ", layout)}`,
    parameters.length === 0
      ? `${bold("Parameters")}\n  none\n`
      : `${bold("Parameters")}\n${parameters.map((parameter) => renderParameter(parameter, layout)).join("")}`,
    constraints.length === 0
      ? ""
      : `${bold("Constraints")}\n${constraints.map((text) => paragraph(text, "  - ", layout)).join("")}`,
    action.examples.length === 0
      ? ""
      : `${bold("Examples")}\n${action.examples.map((example) => renderExample(action.name, example, layout)).join("")}`,
    wrap(
      `Every task also takes ${Object.keys(taskOptions).join(", ")}; REFERENCE.md has them.`,
      layout.columns,
    )
      .map((line) => `${dim(line)}\n`)
      .join(""),
  ];
  return sections.filter((section) => section !== "").join("\n");
}

function renderParameter(
  { name, type, required, initial, description }: Parameter,
  options: FormatOptions,
): string {
  const { bold, dim } = paint(options.color);
  const about = `${type}${required ? ", required" : ""}${initial === undefined ? "" : `, default ${initial}`}`;
  const lines = wrap(`${name}: ${about}`, options.columns - 6);
  const head = lines.map((line, index) =>
    index === 0 ? `  ${bold(name)}${dim(line.slice(name.length))}\n` : `    ${dim(line)}\n`,
  );
  return `${head.join("")}${paragraph(description, "      ", options)}`;
}

function renderExample(name: string, example: unknown, { columns }: FormatOptions): string {
  return `${callText(name, example, columns - 2).replaceAll(/^/gm, "  ")}\n`;
}
