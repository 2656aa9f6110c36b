/** What keeps even root from changing a file, and what to do about it. */
export interface Protection {
  readonly reason: string;
  readonly hint: string;
}

/** The command that tells attributes of a path and of the directory it is in. */
export function attributesCommand(path: string): readonly string[] {
  return ["lsattr", "-d", "--", path, path.slice(0, path.lastIndexOf("/")) || "/"];
}

/** The immutable or append-only attribute that stands in the way, by what {@link attributesCommand} printed of `path`. */
export function protectionOf(path: string, stdout: string): Protection | undefined {
  for (const line of stdout.split("\n")) {
    const [, attribute, at] = /^[^ia\s]*([ia])\S* +(\/.*)/.exec(line) ?? [];
    if (attribute === undefined || at === undefined) continue;
    const name = attribute === "i" ? "immutable" : "append-only";
    return {
      reason: `${at === path ? "it" : at} has the ${name} attribute`,
      hint: `take it away first: chattr -${attribute} ${at}`,
    };
  }
  return undefined;
}

/** The path that rm(1) could not remove for want of permission, by what it says. */
export function deniedBy(stderr: string): string | undefined {
  return /'(\/.*)': Operation not permitted$/m.exec(stderr)?.[1];
}
