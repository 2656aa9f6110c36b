import type { ReadSystem } from "../../core/system.ts";

// fstab(5), the table of file systems; and the mounts that there are, as the kernel lists them (proc(5), mountinfo).

/** The fields of a line of fstab(5), without escapes. */
export interface FstabEntry {
  readonly src: string;
  readonly path: string;
  readonly fstype: string;
  readonly opts: string;
  readonly dump: string;
  readonly passno: string;
}

/** Write a field: white space and backslashes are octal escapes. */
function escapeField(text: string): string {
  return text.replace(/[ \t\n\\]/g, (sign) => `\\${sign.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

/** Read a field of fstab or mountinfo. */
function unescapeField(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_escape, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Read a line of fstab; undefined for comments and for lines that are none. */
function readLine(line: string): FstabEntry | undefined {
  if (/^\s*(?:#|$)/.test(line)) return undefined;
  const [src, path, fstype, opts = "defaults", dump = "0", passno = "0", ...rest] = line
    .trim()
    .split(/\s+/)
    .map(unescapeField);
  if (
    src === undefined ||
    path === undefined ||
    fstype === undefined ||
    rest.some((word, index) => index === 0 && !word.startsWith("#"))
  )
    return undefined;
  return { src, path, fstype, opts, dump, passno };
}

/** Write a line of fstab, with single spaces as Ansible's module. */
function writeLine({ src, path, fstype, opts, dump, passno }: FstabEntry): string {
  return [src, path, fstype, opts, dump, passno].map(escapeField).join(" ");
}

/** A path without slashes at its end. */
export function plainPath(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, "") || "/" : path;
}

/** Tell whether two entries stand for one thing: the same mount point, of swap space the same source too. */
function isSame(
  entry: FstabEntry,
  { path, src }: { readonly path: string; readonly src?: string | undefined },
): boolean {
  if (plainPath(entry.path) !== plainPath(path)) return false;
  return path.startsWith("/") || src === undefined || entry.src === src;
}

/** Return the entries of a text of fstab for a mount point. */
export function findEntries(
  text: string,
  wanted: { readonly path: string; readonly src?: string | undefined },
): readonly FstabEntry[] {
  return text.split("\n").flatMap((line) => {
    const entry = readLine(line);
    return entry !== undefined && isSame(entry, wanted) ? [entry] : [];
  });
}

/** Set an entry in a text of fstab, in its place or at the end. Lines that say the same, and all others, stay as they are. */
export function setEntry(text: string, wanted: FstabEntry): string {
  const lines = text === "" ? [] : text.replace(/\n$/, "").split("\n");
  const fields: readonly (keyof FstabEntry)[] = ["src", "fstype", "opts", "dump", "passno"];
  let found = false;
  const edited = lines.map((line) => {
    const entry = readLine(line);
    if (entry === undefined || !isSame(entry, wanted)) return line;
    found = true;
    return fields.every((field) => entry[field] === wanted[field]) ? line : writeLine(wanted);
  });
  if (!found) edited.push(writeLine(wanted));
  const same = found && edited.every((line, index) => line === lines[index]);
  return same ? text : edited.map((line) => `${line}\n`).join("");
}

/** Remove the entries for a mount point from a text of fstab. */
export function removeEntries(
  text: string,
  wanted: { readonly path: string; readonly src?: string | undefined },
): string {
  return (text.match(/[^\n]*\n|[^\n]+$/g) ?? [])
    .filter((line) => {
      const entry = readLine(line.replace(/\n$/, ""));
      return entry === undefined || !isSame(entry, wanted);
    })
    .join("");
}

/** A mount that there is. */
export interface Mount {
  readonly path: string;
  /** The directory of the file system that is mounted: `/`, except for bind mounts. */
  readonly root: string;
  /** The numbers of the file system's device, as `8:1`. */
  readonly device: string;
  readonly source: string;
  readonly fstype: string;
}

/** List the mounts, in the order they were made. */
export async function readMounts(system: ReadSystem): Promise<readonly Mount[]> {
  const text = (await system.readIfExists("/proc/self/mountinfo"))?.toString("utf8") ?? "";
  return text.split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const [, , device = "", root, path] = left.split(" ");
    const [fstype = "", source = ""] = right.split(" ");
    if (root === undefined || path === undefined) return [];
    const from = unescapeField(source);
    return [{ path: unescapeField(path), root: unescapeField(root), device, source: from, fstype }];
  });
}

/** Return the topmost mount at a path; links are followed, as by mount(8). */
export async function mountAt(path: string, system: ReadSystem): Promise<Mount | undefined> {
  const real = (await system.stat(path)) === null ? path : await system.realPath(path);
  return (await readMounts(system)).findLast((mount) => mount.path === plainPath(real));
}

/** Tell whether a mount is of a source as fstab and mount(8) name it: a device, a file, `UUID=…`, `LABEL=…`. */
export async function isMountOf(mount: Mount, src: string, system: ReadSystem): Promise<boolean> {
  if (mount.source === src) return true;
  const [, kind, name] = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/.exec(src) ?? [];
  const device = kind === undefined ? src : `/dev/disk/by-${kind.toLowerCase()}/${name}`;
  if (!device.startsWith("/")) return false;
  const real = (await system.stat(device)) === null ? device : await system.realPath(device);
  const loop = /^\/dev\/(loop\d+)$/.exec(mount.source)?.[1];
  const backing =
    loop === undefined ? null : await system.readIfExists(`/sys/block/${loop}/loop/backing_file`);
  if (real === mount.source || backing?.toString("utf8").trim() === real) return true;
  // A bind mount has the device of the file system that its source lies on, and the source's place there as its root.
  const isOver = (path: string): boolean => path === "/" || real === path || real.startsWith(`${path}/`);
  const home = (await readMounts(system))
    .filter(({ path }) => isOver(path))
    .reduce<Mount | undefined>(
      (best, one) => (best === undefined || one.path.length >= best.path.length ? one : best),
      undefined,
    );
  if (home === undefined || home.device !== mount.device) return false;
  const below = real.slice(home.path === "/" ? 0 : home.path.length);
  return mount.root === (`${home.root === "/" ? "" : home.root}${below}` || "/");
}
