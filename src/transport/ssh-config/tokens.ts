import { homedir } from "node:os";

/** What `%h` and the like stand for, by their letter (ssh_config(5), TOKENS). */
export type Tokens = Readonly<Record<string, string>>;

/** Fills tokens in; one that is not known stays as it is. */
export function fillTokens(text: string, tokens: Tokens): string {
  return text.replace(/%([%a-zA-Z])/g, (whole, letter: string) =>
    letter === "%" ? "%" : (tokens[letter] ?? whole),
  );
}

/** A path as ssh_config gives it: with `~`, `${NAME}` from the environment, and tokens. */
export function fillPath(text: string, tokens: Tokens): string {
  const home = text === "~" || text.startsWith("~/") ? homedir() + text.slice(1) : text;
  const filled = home.replace(/\$\{(\w+)\}/g, (whole, name: string) => process.env[name] ?? whole);
  return fillTokens(filled, tokens);
}
