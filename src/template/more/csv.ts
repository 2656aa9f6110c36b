import { fail } from "../errors.ts";
import { isList, type Keywords, str, truth } from "../values.ts";

/** Split CSV into rows of fields, as Python's module csv does; empty lines are no rows. */
export function csvRows(content: string, delimiter: string, skipsBlanks = false): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = "";
  let quoted = false;
  let isEmpty = true;
  const endField = (): void => {
    row.push(field);
    field = "";
  };
  const endRow = (): void => {
    if (!isEmpty) {
      endField();
      rows.push(row);
    }
    row = [];
    field = "";
    isEmpty = true;
  };
  for (let at = 0; at < content.length; at++) {
    const char = content[at]!;
    if (quoted) {
      if (char !== '"') field += char;
      else if (content[at + 1] === '"') {
        field += '"';
        at++;
      } else quoted = false;
      continue;
    }
    if (char === "\n" || char === "\r") {
      endRow();
      if (char === "\r" && content[at + 1] === "\n") at++;
      continue;
    }
    isEmpty = false;
    if (char === delimiter) endField();
    else if (char === '"' && field === "") quoted = true;
    else if (!(skipsBlanks && char === " " && field === "")) field += char;
  }
  endRow();
  return rows;
}

const DELIMITERS: Readonly<Record<string, string>> = { excel: ",", unix: ",", "excel-tab": "\t" };

/** Read CSV as `community.general.from_csv` does: a dict for each row, whose further fields have the key None. */
export function readCsv(content: string, options: Keywords): Map<unknown, unknown>[] {
  const {
    dialect = "excel",
    fieldnames = null,
    delimiter = null,
    skipinitialspace = null,
    ...rest
  } = options;
  const unknown = Object.keys(rest).find((name) => name !== "strict");
  if (unknown !== undefined) fail(`from_csv() got an unexpected keyword argument '${unknown}'`);
  const usual = DELIMITERS[str(dialect)] ?? fail(`Dialect '${str(dialect)}' is not supported.`);
  const rows = csvRows(
    content,
    delimiter === null ? usual : str(delimiter),
    skipinitialspace !== null && truth(skipinitialspace),
  );
  const names = isList(fieldnames) && fieldnames.length > 0 ? fieldnames.map(str) : (rows.shift() ?? []);
  return rows.map((row) => {
    const dict = new Map<unknown, unknown>(names.map((name, index) => [name, row[index] ?? null]));
    if (row.length > names.length) dict.set(null, row.slice(names.length));
    return dict;
  });
}
