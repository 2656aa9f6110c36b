import { quote } from "../../core/shell-quote.ts";

/** A terminal without a line editor takes no longer lines in (N_TTY_BUF_SIZE is 4096, with the line end). */
export const MAX_TYPED_BYTES = 4_000;

/** What a mark of {@link askedLine} begins with: an OSC that no terminal knows, and shows nothing of. */
export function markStart(token: string): string {
  return `\x1b]volley;${token};`;
}

/** What a mark ends with. */
export const MARK_END = "\x07";

/** What is typed begins so: it is known by that when it is echoed. The blank keeps it out of many a history. */
export const TYPED_START = " _v=$(umask 077;";
/** As `volley exec` does: in /tmp, where others can write, only where there is no home to write in. */
const MAKE_FILE = `mkdir -p "$HOME/.cache/volley" 2>/dev/null;mktemp "$HOME/.cache/volley/fold.XXXXXX" 2>/dev/null||mktemp`;

/** A line end that is typed would be taken for the end of what is typed. */
function onOneLine(text: string): string {
  if (!text.includes("\n")) return quote(text);
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\012");
  return `"$(printf %b ${quote(escaped)})"`;
}

/**
 * What is typed into a shell of the Bourne kind so that it runs a line where it is, keeping directory, variables and
 * functions the line changes, and tells what came of it between marks: `b` when it begins, `a` before the answer, and
 * `e;CODE` at the end. The line has a nameless file for output and an empty input: no pagers, no colours, no columns as
 * wide as the terminal. `command`, in zsh `builtin`, keeps a syntax error from ending more than the line.
 */
export function askedLine(line: string, token: string): string {
  const mark = (text: string, ...words: readonly string[]): string =>
    `printf '\\033]volley;${token};${text}\\007'${words.map((word) => ` ${word}`).join("")}`;
  const steps = [
    `rm -f "$_v"`,
    mark("b"),
    `case \${ZSH_VERSION-} in "")_v=command;;*)_v=builtin;esac`,
    `$_v eval ${onOneLine(line)} >&8 2>&1 8>&- 9<&- </dev/null`,
    "_v=$?",
    mark("a"),
    "cat <&9",
    mark("e;%s", `"$_v"`),
  ];
  return `${TYPED_START}${MAKE_FILE})&&{ ${steps.join(";")};} 8>|"$_v" 9<"$_v"`;
}
