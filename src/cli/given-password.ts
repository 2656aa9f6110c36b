import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { fileReason, VolleyError } from "../core/errors.ts";

/** Where one of the passwords comes from: the terminal when `ask` says so, else a file, else the environment. */
export interface PasswordSource {
  /** As messages have it: `password`, `become password`. */
  readonly name: string;
  /** With a colon it is the question at the terminal. */
  readonly question: string;
  readonly ask: boolean;
  /** A path, or a file descriptor. */
  readonly file: string | number | undefined;
  readonly variable: string;
  /** Ways to give it without a terminal. */
  readonly hint: string;
}

/** A password: what is typed, the first line of a file, or a variable's value. Fails with `USAGE`. */
export async function readGivenPassword(source: PasswordSource): Promise<string | undefined> {
  const { name, question, ask, file, variable, hint } = source;
  const fromEnvironment = process.env[variable];
  // Programs started from here have no need of it.
  delete process.env[variable];
  const refuseEmpty = (password: string, why: string): string => {
    if (password === "") throw new VolleyError("USAGE", `the ${name} is empty: ${why}`);
    return password;
  };
  if (ask) {
    const { askPassphrase } = await import("./ask.ts");
    const password = await askPassphrase(`${question}: `);
    if (password === null)
      throw new VolleyError("USAGE", `there is no terminal to ask for the ${name}`, { hint });
    return refuseEmpty(password, "nothing was typed");
  }
  if (file === undefined) return fromEnvironment === "" ? undefined : fromEnvironment;
  const where = typeof file === "string" ? file : `file descriptor ${file}`;
  let text: string;
  try {
    text = readFileSync(typeof file === "string" ? expandHome(file) : file, "utf8");
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read the ${name} from ${where}: ${fileReason(thrown)}`);
  }
  return refuseEmpty(text.split(/\r?\n/)[0]!, `the first line of ${where} is empty`);
}

/** A path of the command line, where the shell has left a `~` as in `--option=~/file`. */
export function expandHome(path: string): string {
  return path.replace(/^~(?=\/)/, homedir());
}
