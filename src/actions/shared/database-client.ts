import type { ActionContext, Change } from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ProcessResult, ReadSystem, System } from "../../core/system.ts";

// Tools shared by the actions of all database servers. Passwords reach the clients of database servers on standard input, never on a command line, where every user of the
// host could read them, and lie in no file.

/** The ways of a System to run a program: for reading, or for changing. */
export type RunProgram = (argv: readonly string[], options: ProcessOptions) => Promise<ProcessResult>;

/** Run programs for reading. */
export function reader(system: ReadSystem): RunProgram {
  return (argv, options) => system.query(argv, options);
}

/** Run programs for changing. */
export function writer(system: System): RunProgram {
  return (argv, options) => system.run(argv, options);
}

/** The first lines of standard input end with this one; the rest is the program's own. */
const END = "#volley-end";

/**
 * The script's first part, which puts the first lines of standard input into the variable `secret`. The shell reads byte
 * by byte, and so leaves the rest to the program.
 */
export const READ_SECRET = `secret=
while IFS= read -r line && [ "$line" != "${END}" ]; do secret="$secret$line
"; done
`;

/** Standard input for a script that begins with {@link READ_SECRET}. Fails with `ACTION_FAILED` for a secret that cannot be given so. */
export function secretInput(secret: string, input = ""): string {
  if (secret.includes("\0") || secret.split("\n").includes(END))
    throw new VolleyError("ACTION_FAILED", "the login has a character that no client takes");
  return `${secret}${secret === "" || secret.endsWith("\n") ? "" : "\n"}${END}\n${input}`;
}

/** The errors of clients whose server, or which themselves, are not there. */
const AWAY = /^(?:unable to connect to database|there is no (?:mysql client|psql))/;

/** In check mode a server that cannot be asked yet makes the outcome unknown: an earlier task may install it. */
export async function orUnknown<T>(
  context: Pick<ActionContext, "check">,
  inspect: () => Promise<T>,
): Promise<T | (Change & { readonly unknown: string })> {
  try {
    return await inspect();
  } catch (thrown) {
    if (context.check && isVolleyError(thrown) && AWAY.test(thrown.message))
      return { unknown: thrown.message };
    throw thrown;
  }
}
