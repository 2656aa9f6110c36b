const ENTRY = /^\s*-?\s*([^\s=#;]+)\s*=\s*(.*?)\s*$/;

/** A key as `/proc/sys` orders it: of the two separators the one that comes first separates (sysctl.d(5)). */
export function sysctlPath(key: string): string {
  const slashed = /^[^./]*\//.test(key)
    ? key
    : key.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
  return `/proc/sys/${slashed}`;
}

/** A value with its white space made single, as the kernel compares lists of numbers. */
export function normalizeSysctl(value: string): string {
  return value.trim().split(/\s+/).join(" ");
}

/** The text of a sysctl.conf(5) file with a key set, or (with null) without it; comments and other keys stay. */
export function editSysctl(text: string, key: string, value: string | null): string {
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  let done = value === null;
  const edited = lines.flatMap((line) => {
    const [, name, current = ""] = /^\s*[#;]/.test(line) ? [] : (ENTRY.exec(line) ?? []);
    if (name === undefined || sysctlPath(name) !== sysctlPath(key)) return [line];
    if (value === null || done) return [];
    done = true;
    return normalizeSysctl(current) === normalizeSysctl(value) ? [line] : [`${key}=${value}`];
  });
  if (!done) edited.push(`${key}=${value}`);
  if (edited.length === lines.length && edited.every((line, index) => line === lines[index])) return text;
  return edited.map((line) => `${line}\n`).join("");
}
