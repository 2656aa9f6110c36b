import { printable, VolleyError } from "../../core/errors.ts";
import { splitWords } from "../../core/unix/shell-words.ts";

import { parseLine, readOption, type WrittenOption } from "./parse-line.ts";

/** Parsed arguments of `ssh`. */
export interface SshArguments {
  readonly options: readonly WrittenOption[];
  /** The arguments as words for `ssh` itself. */
  readonly words: readonly string[];
}

/** Options behind flags with a value. */
const VALUE_FLAGS: Readonly<Record<string, string>> = {
  J: "proxyjump",
  i: "identityfile",
  p: "port",
  l: "user",
  S: "controlpath",
  c: "ciphers",
  m: "macs",
  b: "bindaddress",
  B: "bindinterface",
};
/** Options and values behind flags without one. */
const FLAGS: Readonly<Record<string, readonly [string, string]>> = {
  A: ["forwardagent", "yes"],
  a: ["forwardagent", "no"],
  C: ["compression", "yes"],
  "4": ["addressfamily", "inet"],
  "6": ["addressfamily", "inet6"],
  K: ["gssapiauthentication", "yes"],
  k: ["gssapidelegatecredentials", "no"],
};
/** Flags without effect on a run: they change only the display, or a person's session. */
const WITHOUT_EFFECT = /^[qvTntxXfNy]$/;

/**
 * Parse arguments of `ssh`, such as those of `ansible_ssh_common_args`: `-o Name=value`, `-J`, `-i`, `-p`, `-l`, `-A` and
 * others. Fails with `USAGE` for an unknown argument.
 */
export function parseSshArguments(text: string, where: string): SshArguments {
  const words = argumentWords(text, where);
  const options: WrittenOption[] = [];
  const kept: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (!/^-[a-zA-Z0-9]/.test(word)) refuse(where, word);
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      if (letter === "o" || letter === "E" || letter in VALUE_FLAGS) {
        const value = word.slice(at + 1) || words[++index];
        if (value === undefined) refuse(where, `-${letter} without a value`);
        // -E names a file for ssh's own messages.
        if (letter === "E") break;
        options.push(letter === "o" ? parseOption(value, where) : ofFlag(VALUE_FLAGS[letter]!, value, where));
        // As -J, it would conflict with a ProxyCommand.
        if (letter === "J") kept.push("-o", `ProxyJump=${value}`);
        else kept.push(`-${letter}`, value);
        break;
      }
      const flag = FLAGS[letter];
      if (flag !== undefined) options.push({ name: flag[0], words: [flag[1]] });
      else if (!WITHOUT_EFFECT.test(letter)) refuse(where, `-${letter}`);
      if (flag !== undefined) kept.push(`-${letter}`);
    }
  }
  return { options, words: kept };
}

/** Parse `Name=value` or `Name value` as a line of ssh_config; options of newer releases are left to `ssh`. */
function parseOption(text: string, where: string): WrittenOption {
  const line = parse(text, where, () => parseLine(text, { file: where }));
  if (line?.kind === "option") return line;
  if (line?.kind !== "unknown" || !/^[a-z]\w*$/.test(line.name)) refuse(where, `-o ${text}`);
  return { name: line.name, words: [] };
}

function ofFlag(name: string, value: string, where: string): WrittenOption {
  return parse(value, where, () => readOption(name, { words: [value], rest: value }, { file: where }));
}

function parse<T>(text: string, where: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    return refuse(where, text, thrown);
  }
}

function refuse(where: string, what: string, cause?: unknown): never {
  throw new VolleyError("USAGE", `${where}: ${printable(JSON.stringify(what), 300)} is not understood`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "what can be given: -o Name=value, -J, -i, -p, -l, -A, -C, -4, -6",
  });
}

/** Split arguments into words as a shell does, with quotes and backslashes. Fails with `USAGE`. */
export function argumentWords(text: string, where: string): readonly string[] {
  return splitWords(text, {
    escapes: "shell",
    fail: ({ kind }) => {
      const what = kind === "escape" ? "a backslash at the end escapes nothing" : "a quote is not closed";
      throw new VolleyError("USAGE", `${where}: ${what}`);
    },
  });
}
