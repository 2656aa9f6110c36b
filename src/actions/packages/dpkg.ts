import type { Memo } from "../../core/action.ts";
import type { ReadSystem } from "../../core/system.ts";

/** One package dpkg knows of. */
export interface DpkgPackage {
  readonly name: string;
  readonly architecture: string;
  readonly version: string;
  /** `installed`, `config-files` (removed, configuration left), or a state in between such as `half-configured`. */
  readonly status: string;
  /** True when it is on hold. */
  readonly held: boolean;
}

/** The packages dpkg knows of, looked up as they are asked for. */
export interface DpkgDatabase {
  /** By `name` or `name:architecture`; of several architectures the name alone means an installed one, the native first. */
  find(name: string): DpkgPackage | null;
  /** The installed packages that provide a virtual one. */
  providers(virtual: string): readonly string[];
  /** The names of all installed packages. */
  installedNames(): readonly string[];
}

const STATUS_PATH = "/var/lib/dpkg/status";
const PACKAGE = "Package: ";

function fieldOf(paragraph: string, name: string): string {
  const start = paragraph.indexOf(`\n${name}: `);
  if (start === -1) return "";
  const valueStart = start + name.length + 3;
  const end = paragraph.indexOf("\n", valueStart);
  return paragraph.slice(valueStart, end === -1 ? undefined : end);
}

/** `paragraph` starts with its Package field. */
function parseParagraph(paragraph: string): DpkgPackage {
  const [want = "", , status = ""] = fieldOf(paragraph, "Status").split(" ");
  return {
    name: paragraph.slice(PACKAGE.length, paragraph.indexOf("\n")),
    architecture: fieldOf(paragraph, "Architecture"),
    version: fieldOf(paragraph, "Version"),
    status,
    held: want === "hold",
  };
}

function virtualNames(provides: string): readonly string[] {
  return provides.split(",").map((provided) => provided.replace(/\(.*/, "").trim());
}

/** A database from the text of `/var/lib/dpkg/status`, which it searches rather than parses: that is a matter of microseconds. */
export function openDpkgStatus(status: string): DpkgDatabase {
  const text = `\n\n${status}\n\n`;
  const paragraphAt = (start: number): string => text.slice(start, text.indexOf("\n\n", start));

  function* starts(header: string): Generator<number> {
    for (let at = text.indexOf(header); at !== -1; at = text.indexOf(header, at + 1)) yield at;
  }

  const candidates = (name: string): readonly DpkgPackage[] =>
    [...starts(`\n\n${PACKAGE}${name}\n`)].map((at) => parseParagraph(paragraphAt(at + 2)));

  const find = (spec: string): DpkgPackage | null => {
    const [name = "", architecture] = spec.split(":");
    const found = candidates(name);
    if (architecture !== undefined) {
      // A package of architecture "all" stands for every architecture.
      return found.find((entry) => [architecture, "all"].includes(entry.architecture)) ?? null;
    }
    if (found.length < 2) return found[0] ?? null;
    // dpkg itself is always of the native architecture.
    const native = candidates("dpkg")[0]?.architecture;
    const rank = (entry: DpkgPackage): number =>
      (entry.status === "installed" ? 2 : 0) + (entry.architecture === native ? 1 : 0);
    return [...found].sort((a, b) => rank(b) - rank(a))[0] ?? null;
  };

  return {
    find,
    providers: (virtual) => {
      const found = new Set<string>();
      for (const at of starts("\nProvides: ")) {
        const line = text.slice(at + 1, text.indexOf("\n", at + 1));
        if (!line.includes(virtual) || !virtualNames(line.slice("Provides: ".length)).includes(virtual))
          continue;
        const entry = parseParagraph(paragraphAt(text.lastIndexOf("\n\n", at) + 2));
        if (entry.status === "installed") found.add(entry.name);
      }
      return [...found];
    },
    installedNames: () => {
      const entries = [...starts(`\n\n${PACKAGE}`)].map((at) => parseParagraph(paragraphAt(at + 2)));
      return [...new Set(entries.filter((entry) => entry.status === "installed").map((entry) => entry.name))];
    },
  };
}

/** What dpkg knows, read once and again only when its status file is another. */
export async function readDpkg(system: ReadSystem, memo: Memo): Promise<DpkgDatabase> {
  const stat = await system.stat(STATUS_PATH, true);
  if (stat === null) return openDpkgStatus("");
  // The file is replaced by every change, whoever makes it, so that nothing needs to be forgotten by hand.
  return memo.get(`dpkg:${stat.inode}:${stat.mtimeMs}:${stat.size}`, async () =>
    // Latin-1 because what is looked at is ASCII, and decoding UTF-8 would take longer than all the rest.
    openDpkgStatus((await system.readFile(STATUS_PATH)).toString("latin1")),
  );
}
