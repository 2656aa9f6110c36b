import type { Diff } from "../../core/result.ts";

/** Modules whose differences of content are a list, also where there is one. */
const LISTS_DIFFS = new Set(["copy", "template", "get_url", "unarchive"]);

/** Modules that tell of content and attributes apart. */
const EDITORS = new Set(["lineinfile", "blockinfile"]);

/** Shape the differences that an action found as its module returns them in `diff`. */
export function diffsOf(name: string, diffs: readonly Diff[], check: boolean): unknown {
  const [first] = diffs;
  if (first !== undefined && EDITORS.has(name)) return editedDiff(first, check);
  const isList = LISTS_DIFFS.has(name);
  const shown = diffs.map((diff) => diffOf(diff, isList));
  // As in Ansible, a change of attributes alone is no list.
  return diffs.length === 1 && (!isList || isOfAttributes(diffs[0]!)) ? shown[0] : shown;
}

const isOfAttributes = ({ before, after, attributes }: Diff): boolean =>
  attributes !== undefined && before === undefined && after === undefined;

function diffOf(diff: Diff, isList: boolean): Record<string, unknown> {
  const { path, before, after } = diff;
  if (isOfAttributes(diff)) {
    const { before: old, after: now } = sidesOf(diff);
    return { before: { path, ...old }, after: { path, ...now } };
  }
  return {
    ...(isList && before === null ? {} : { before_header: path }),
    after_header: path,
    before: before ?? "",
    after: after ?? "",
  };
}

function editedDiff(diff: Diff, check: boolean): unknown {
  const { path, before, after, attributes } = diff;
  const headers = (part: string): Record<string, string> => {
    const header = `${path} (${part})`;
    return { before_header: header, after_header: header };
  };
  const content = { ...headers("content"), before: before ?? "", after: after ?? "" };
  // Check mode cannot look at the attributes of a file that is not there yet.
  if (check && before === null) return content;
  return [content, { ...headers("file attributes"), ...(attributes === undefined ? {} : sidesOf(diff)) }];
}

/** Attributes before and after. */
function sidesOf({ attributes = {} }: Diff): Record<"before" | "after", Record<string, unknown>> {
  const side = (index: 0 | 1): Record<string, unknown> =>
    Object.fromEntries(Object.entries(attributes).map(([name, values]) => [name, values[index]]));
  return { before: side(0), after: side(1) };
}
