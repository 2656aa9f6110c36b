import { type AlgorithmKind, isAlgorithmList } from "./algorithms.ts";
import { parseJumps } from "./jump.ts";

/** What a line says behind its keyword: as words, and as written. */
export interface Written {
  readonly words: readonly string[];
  readonly rest: string;
}

/** The values of an option, in the form that `ssh -G` prints them in. */
export interface Read {
  readonly values: readonly string[];
  /** How many words they took: more of them are an error. */
  readonly took: number;
}

/** Reads an option's value; a text says what is wrong with it. */
export type Reader = (written: Written) => Read | string;

const MISSING = "missing argument";

/** One word, or what a function makes of it: undefined refuses it. */
export function one(value: (word: string) => string | undefined = (word) => word): Reader {
  return ({ words: [word] }) => {
    if (word === undefined || word === "") return MISSING;
    const made = value(word);
    return made === undefined ? `unsupported value ${JSON.stringify(word)}` : { values: [made], took: 1 };
  };
}

/** One of these; words that mean the same stand together, the first of them for all. */
export function states(...groups: readonly (readonly string[])[]): Reader {
  return one((word) => groups.find((group) => group.some((each) => isSame(each, word)))?.[0]);
}

function isSame(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** `yes` or `no`. */
export const flag: Reader = states(["yes", "true"], ["no", "false"]);

/** One word that fits. */
export function shaped(shape: RegExp): Reader {
  return one((word) => (shape.test(word) ? word : undefined));
}

/** A time in seconds; `none` is no value: what comes later counts. */
export const time: Reader = (written) => {
  if (written.words[0] === "none") return { values: [], took: 1 };
  return one((word) => parseSeconds(word)?.toString())(written);
};

/** A whole number that is not negative. */
export const integer: Reader = one((word) => {
  const number = /^\+?\d+$/.test(word) ? Number(word) : Number.NaN;
  return number < 2 ** 31 ? String(number) : undefined;
});

/** A port's number. */
export const port: Reader = one((word) => {
  const number = /^\+?\d+$/.test(word) ? Number(word) : word === "ssh" ? 22 : Number.NaN;
  return number >= 1 && number <= 65_535 ? String(number) : undefined;
});

/** The rest of the line as it stands: a command. */
export const line: Reader = ({ words, rest }) => {
  const text = rest.replace(/^[ \t\r\n=]+/, "");
  return text === "" ? MISSING : { values: [text], took: words.length };
};

/** Hosts to jump through. */
export const jump: Reader = ({ words, rest }) => {
  const text = rest
    .replace(/^[ \t\r\n=]+/, "")
    .replace(/#.*$/, "")
    .replace(/\s.*$/, "");
  if (text === "") return MISSING;
  try {
    parseJumps(text);
  } catch (thrown) {
    return (thrown as Error).message;
  }
  return { values: [text], took: words.length };
};

/** All words of the line, none of them empty; `alone` may stand only by itself. */
export function list(alone?: RegExp, fits: RegExp = /./): Reader {
  return ({ words }) => {
    const wrong = words.find((word) => !fits.test(word));
    if (wrong !== undefined)
      return wrong === "" ? "an argument is empty" : `${JSON.stringify(wrong)} is not understood`;
    const single = words.find((word) => alone?.test(word));
    if (single !== undefined && words.length > 1) return `${JSON.stringify(single)} must stand alone`;
    return { values: words, took: words.length };
  };
}

/** A list of algorithms. */
export function algorithms(kind: AlgorithmKind): Reader {
  return one((word) => (isAlgorithmList(kind, word) ? word : undefined));
}

/** A port to forward, and where to: one word for two. */
export function forward(needsTarget: boolean): Reader {
  return ({ words: [from, to] }) => {
    if (from === undefined || from === "") return MISSING;
    if (to === undefined || to === "")
      return needsTarget ? "missing target argument" : { values: [from], took: 1 };
    return { values: [`${from} ${to}`], took: 2 };
  };
}

/** A path of an agent's socket, or where it is to be found. */
export const agent: Reader = one((word) =>
  /^\$(?!\{)/.test(word) && !/^\$[A-Za-z_]\w*$/.test(word) ? undefined : word,
);

/** Whether to forward an agent, or which. */
export const forwardAgent: Reader = (written) => {
  const asFlag = flag(written);
  return typeof asFlag === "string" ? agent(written) : asFlag;
};

/** Names of variables to set, each with a value. */
export const settings: Reader = ({ words }) => {
  const wrong = words.find((word) => !word.includes("="));
  if (wrong !== undefined) return `${JSON.stringify(wrong)} is not NAME=value`;
  const names = words.map((word) => word.slice(0, word.indexOf("=")));
  return {
    values: words.filter((_word, index) => names.indexOf(names[index]!) === index),
    took: words.length,
  };
};

/** One word, or two. */
export function oneOrTwo(first: RegExp, second: RegExp): Reader {
  return ({ words: [one, two] }) => {
    if (one === undefined || one === "") return MISSING;
    const wrong = !first.test(one) ? one : two !== undefined && !second.test(two) ? two : undefined;
    if (wrong !== undefined) return `${JSON.stringify(wrong)} is not understood`;
    return { values: two === undefined ? [one] : [one, two], took: two === undefined ? 1 : 2 };
  };
}

const UNITS_S: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** A time such as `10`, `90s` or `1m30s` in seconds (sshd_config(5), TIME FORMATS); undefined when it is none. */
export function parseSeconds(text: string): number | undefined {
  if (text === "" || !/^(?:\d+[smhdw])*\d*$/i.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.toLowerCase().matchAll(/(\d+)([smhdw]?)/g))
    seconds += Number(amount) * UNITS_S[unit!]!;
  return seconds < 2 ** 31 ? seconds : undefined;
}
