import { expandPythonTemplate, pythonRegex } from "../../core/python-regex.ts";
import { callable, intArgument } from "../calls.ts";
import { fail } from "../errors.ts";
import { str } from "../repr.ts";
import { type Callable, truth, tuple } from "../values.ts";

function compile(pattern: unknown, ignoreCase: unknown, multiLine: unknown): RegExp {
  const [ignore, multiline] = [truth(ignoreCase), truth(multiLine)];
  return pythonRegex(str(pattern), { ignoreCase: ignore, multiline, unicode: true, global: true });
}

function replace(
  value: unknown,
  pattern: unknown = "",
  by: unknown = "",
  ignoreCase: unknown = false,
  multiLine: unknown = false,
  count: unknown = 0,
): string {
  const regex = compile(pattern, ignoreCase, multiLine);
  const most = intArgument(count, 0);
  const text = str(value);
  let [result, at, done] = ["", 0, 0];
  for (const match of text.matchAll(regex)) {
    if (most > 0 && done >= most) break;
    result += text.slice(at, match.index) + expandPythonTemplate(str(by), match);
    at = match.index + match[0].length;
    done++;
  }
  return result + text.slice(at);
}

/** `regex_search` with `\1` or `\g<name>` arguments gives a list of those groups. */
const search: Callable = ([value, pattern, ...groups], { ignorecase = false, multiline = false }) => {
  const match = compile(pattern, ignorecase, multiline).exec(str(value));
  if (match === null) return null;
  if (groups.length === 0) return match[0];
  return groups.map((group) => {
    const [, name = fail(`unknown argument '${str(group)}' to regex_search`)] =
      /^\\(?:g<)?(\w+)>?$/.exec(str(group)) ?? [];
    const isNumber = /^\d+$/.test(name);
    if (isNumber ? Number(name) >= match.length : !(name in (match.groups ?? {})))
      fail(`the regular expression has no group ${name}`);
    return (isNumber ? match[Number(name)] : match.groups?.[name]) ?? null;
  });
};

function findAll(
  value: unknown,
  pattern: unknown,
  multiLine: unknown = false,
  ignoreCase: unknown = false,
): unknown[] {
  return [...str(value).matchAll(compile(pattern, ignoreCase, multiLine))].map((match) => {
    if (match.length <= 2) return match[1] ?? (match.length === 2 ? "" : match[0]);
    return tuple(...match.slice(1).map((group) => group ?? ""));
  });
}

/** Ansible's filters of regular expressions, in the syntax of Python's `re`. */
export const regexFilters: Readonly<Record<string, Callable>> = {
  regex_replace: callable(["value", "pattern", "replacement", "ignorecase", "multiline", "count"], replace),
  regex_search: search,
  regex_findall: callable(["value", "regex", "multiline", "ignorecase"], findAll),
  regex_escape: callable(["value", "re_type"], (value: unknown, type: unknown = "python") =>
    type === "posix_basic"
      ? str(value).replace(/[\].[^$*\\]/g, "\\$&")
      : str(value).replace(/[\s()[\]{}?*+\-|^$\\.&~#]/g, "\\$&"),
  ),
};
