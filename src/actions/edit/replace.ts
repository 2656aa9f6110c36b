import * as v from "valibot";
import { pythonRegex, pythonReplace } from "../../core/values/python-regex.ts";
import { findMatches } from "../../system/endable.ts";
import { defineAction } from "../define.ts";
import { backup, fileAttributes, filePath, optionalText, text, validate } from "../shared/params.ts";
import { applyEdit, type Edited, editAliases, encoding, inspectEdit } from "./edit-file.ts";

const NO_SECTION = "Pattern for before/after params did not match the given file";

/** Replace every match of a pattern in a file. */
export const replace = defineAction({
  name: "replace",
  doc: `Replace every match of a Python regular expression in a file.

As in Ansible, \`^\` and \`$\` match at every line, and \`\\w\` matches letters of any script; \`replace\` may refer to
groups as \`\\1\` or \`\\g<name>\`, and without it matches are removed. The expression must not match its own result.
\`after\` and \`before\` are expressions that limit the search, in which \`.\` matches newlines too; without a match of
these, nothing happens. A link is followed.`,
  params: v.strictObject({
    path: filePath,
    regexp: text("The Python regular expression."),
    replace: v.optional(v.pipe(v.string(), v.description("The replacement for a match.")), ""),
    after: optionalText("Change only text after the first match of this expression."),
    before: optionalText("Change only text before the match of this expression."),
    ...fileAttributes,
    backup,
    validate,
    encoding,
  }),
  aliases: editAliases,
  examples: [
    { path: "/etc/hosts", regexp: "(\\s+)old\\.example\\.org(\\s|$)", replace: "\\1new.example.org\\2" },
    {
      path: "/etc/apache2/site.conf",
      after: "<VirtualHost \\*:80>",
      before: "</VirtualHost>",
      regexp: "^(\\s*ServerName) .*$",
      replace: "\\1 example.org",
    },
  ],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const { signal } = context;
    return inspectEdit(params, system, context, async (text) => {
      const { after, before, regexp } = params;
      const section = await findSection(text, after, before, signal);
      if (section === null)
        return { text, message: "after and before do not match", msg: NO_SECTION, data: { rc: 0 } };
      const regex = pythonRegex(regexp, { multiline: true, unicode: true, global: true });
      return replaceIn(text, section, regex, params.replace, signal);
    });
  },

  async apply(change, _params, system) {
    return applyEdit(change, system);
  },
});

interface Section {
  readonly start: number;
  readonly end: number;
}

/** Find the section to search; null when `after` and `before` do not match. */
async function findSection(
  text: string,
  after: string | undefined,
  before: string | undefined,
  signal: AbortSignal,
): Promise<Section | null> {
  if (after === undefined && before === undefined) return { start: 0, end: text.length };
  const middle = after === undefined || before === undefined ? ".*" : ".*?";
  const regex = pythonRegex(`${after ?? ""}(?P<volley_section>${middle})${before ?? ""}`, {
    dotAll: true,
    unicode: true,
  });
  const [matches = []] = await findMatches(new RegExp(regex.source, `${regex.flags}d`), [text], signal);
  const found = matches[0]?.indices?.groups?.volley_section;
  return found === undefined ? null : { start: found[0], end: found[1] };
}

async function replaceIn(
  text: string,
  { start, end }: Section,
  regex: RegExp,
  replacement: string,
  signal: AbortSignal,
): Promise<Edited> {
  const part = text.slice(start, end);
  const [matches = []] = await findMatches(regex, [part], signal);
  const { text: changed, count } = pythonReplace(matches, replacement, part);
  const message = `${count} replacements made`;
  return {
    text: text.slice(0, start) + changed + text.slice(end),
    message,
    msg: count === 0 ? "" : message,
    data: { rc: 0 },
  };
}
