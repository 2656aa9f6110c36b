/** What is known of a host when its screen is judged. */
export interface ScreenSample {
  readonly host: string;
  /** Other names it shows of itself: what its prompt or its window title says. */
  readonly aliases: readonly string[];
  readonly lines: readonly string[];
}

/** What is known of a host when its pace is judged; times in milliseconds of one clock, undefined: never. */
export interface PaceSample {
  readonly host: string;
  readonly inputAt: number | undefined;
  readonly outputAt: number | undefined;
  /** Bytes typed that its connection has not taken yet. */
  readonly pendingBytes: number;
}

/** After this long without an answer that others gave, a host lags. */
export const LAG_MS = 1_000;

const MIN_NAME = 3;

/**
 * The hosts whose screens differ from what most show; none where no screen is that of more than half. Where each shows
 * its own name they do not differ, nor in how many blanks stand between words.
 */
export function differingHosts(samples: readonly ScreenSample[]): ReadonlySet<string> {
  const names = new Set(samples.flatMap((sample) => [...namesOf(sample)]));
  const groups = new Map<string, Shown[]>();
  for (const sample of samples) {
    const shown = readScreen(sample, names);
    groups.set(shown.text, [...(groups.get(shown.text) ?? []), shown]);
  }
  const isMost = (number: number): boolean => number * 2 > samples.length;
  const large = [...groups.values()].find((group) => isMost(group.length)) ?? [];
  // A host that shows another's name is like that one, but not like most.
  const usual = large.filter((shown) => isMost(large.filter((other) => isSame(shown, other)).length));
  if (!isMost(usual.length)) return new Set();
  const same = new Set(usual.map(({ host }) => host));
  return new Set(samples.map(({ host }) => host).filter((host) => !same.has(host)));
}

/** A screen, with the names of hosts taken out of it. */
interface Shown {
  readonly host: string;
  readonly own: ReadonlySet<string>;
  readonly text: string;
  /** Those that were taken out, in order. */
  readonly names: readonly string[];
}

function readScreen(sample: ScreenSample, known: ReadonlySet<string>): Shown {
  const names: string[] = [];
  const text = sample.lines
    .join("\n")
    .trimEnd()
    .replace(/[ \t]+/g, " ")
    .replace(/\w[\w.-]*/g, (word) => {
      if (!known.has(word)) return word;
      names.push(word);
      return "\0";
    });
  return { host: sample.host, own: namesOf(sample), text, names };
}

function isSame(one: Shown, other: Shown): boolean {
  return one.names.every((name, index) => {
    const its = other.names[index]!;
    return name === its || (one.own.has(name) && other.own.has(its));
  });
}

function namesOf({ host, aliases }: ScreenSample): ReadonlySet<string> {
  return new Set([host, host.split(".")[0]!, ...aliases].filter((name) => name.length >= MIN_NAME));
}

/** The hosts that have not answered what was typed while more than half of the others have, or do not take it in. */
export function laggingHosts(samples: readonly PaceSample[], now: number): ReadonlySet<string> {
  const typed = samples.filter(({ inputAt }) => inputAt !== undefined);
  const isSilent = ({ inputAt, outputAt, pendingBytes }: PaceSample): boolean =>
    now - inputAt! >= LAG_MS && (pendingBytes > 0 || outputAt === undefined || outputAt < inputAt!);
  const hasAnswered = ({ inputAt, outputAt }: PaceSample): boolean =>
    outputAt !== undefined && outputAt >= inputAt!;
  const answered = typed.filter(hasAnswered).length;
  return new Set(
    typed
      .filter((sample) => {
        if (!isSilent(sample)) return false;
        const others = typed.length - 1;
        return sample.pendingBytes > 0 || (others > 0 && answered * 2 > others);
      })
      .map(({ host }) => host),
  );
}

/** The host's name in a window title as shells write it: `deploy@web1: ~`. */
export function nameInTitle(title: string): string | undefined {
  return /@([\w-][\w.-]*)/.exec(title)?.[1];
}
