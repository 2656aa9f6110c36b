/** A line of `/etc/passwd` (passwd(5)). */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly comment: string;
  readonly home: string;
  readonly shell: string;
}

/** Parse the text of `/etc/passwd`, or the output of `getent passwd`; lines of another form are skipped. */
export function parsePasswd(text: string): readonly PasswdEntry[] {
  return text.split("\n").flatMap(parseLine);
}

/** Find a user by name in such a text, without parsing all of it. */
export function findPasswd(text: string, name: string): PasswdEntry | undefined {
  const line = text.split("\n").find((each) => each.startsWith(`${name}:`));
  return line === undefined ? undefined : parseLine(line)[0];
}

function parseLine(line: string): readonly PasswdEntry[] {
  const [name = "", , uid = "", gid = "", comment = "", home = "", shell = ""] = line.split(":");
  if (name === "" || name.startsWith("#") || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return [];
  return [{ name, uid: Number(uid), gid: Number(gid), comment, home, shell }];
}
