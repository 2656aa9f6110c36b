import type { Command, Option } from "commander";

/** Options of ours that a run is not given: they are about the comparison, or are handed on otherwise. */
export type OwnOptions = ReadonlySet<string>;

/** The options a command was given, as words for another command that takes the same ones, but for those in `own`. */
export function childArguments(command: Command, own: OwnOptions): readonly string[] {
  return command.options.flatMap((option) => {
    const name = option.attributeName();
    if (own.has(name) || command.getOptionValueSource(name) !== "cli") return [];
    return wordsOf(option, command.getOptionValue(name));
  });
}

function wordsOf({ long, negate }: Option, value: unknown): readonly string[] {
  if (long == null || value === undefined) return [];
  if (value === false) return negate ? [long] : [];
  if (value === true) return negate ? [] : [long];
  return (Array.isArray(value) ? value : [value]).map((each) => `${long}=${String(each)}`);
}
