import { isRecord } from "../../core/json.ts";

const OCTAL_NAME = /(?:^|_)(?:mode|umask)$/;

function key(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

function quoted(text: string): string {
  const json = JSON.stringify(text);
  return text.includes('"') && !text.includes("'") ? `'${json.slice(1, -1).replaceAll('\\"', '"')}'` : json;
}

/** A value as TypeScript on one line; numbers that are permission bits, by the name of what holds them, in octal. */
export function literal(value: unknown, name = ""): string {
  if (typeof value === "number" && OCTAL_NAME.test(name)) return `0o${value.toString(8)}`;
  if (typeof value === "string") return quoted(value);
  if (typeof value === "function") return "() => …";
  if (Array.isArray(value)) return `[${value.map((item) => literal(item)).join(", ")}]`;
  if (!isRecord(value)) return String(value);
  const fields = fieldsOf(value).map(([field, item]) => `${key(field)}: ${literal(item, field)}`);
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

function fieldsOf(value: Readonly<Record<string, unknown>>): readonly (readonly [string, unknown])[] {
  return Object.entries(value).filter(([, item]) => item !== undefined);
}

function indent(lines: string): string {
  return lines.replaceAll(/^/gm, "  ");
}

/** A value as TypeScript, over several lines where one would be longer than `columns`. */
function layOut(value: unknown, columns: number, name = ""): string {
  const line = literal(value, name);
  if (line.length <= columns) return line;
  if (Array.isArray(value) && value.length > 0) {
    return `[\n${value.map((item) => `${indent(layOut(item, columns - 3))},\n`).join("")}]`;
  }
  if (!isRecord(value) || Array.isArray(value)) return line;
  const fields = fieldsOf(value).map(([field, item]) => {
    const start = `${key(field)}: `;
    return `${indent(`${start}${layOut(item, columns - start.length - 3, field)}`)},\n`;
  });
  return `{\n${fields.join("")}}`;
}

/** A call of an action, as a playbook writes it. */
export function callText(name: string, params: unknown, columns: number): string {
  return `${name}(${layOut(params, columns - name.length - 2)})`;
}
