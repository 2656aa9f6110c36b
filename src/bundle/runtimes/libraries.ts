import { readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { RuntimeArch } from "../../core/runtimes.ts";
import { resolveBelow } from "../../system/root-paths.ts";
import { type Elf, readElf, stripElf } from "./elf.ts";
import { findLicenses } from "./licenses.ts";

// glibc with its loader, and the other libraries that Node needs, as this controller has them.

/** The loader and the libraries of a program. */
export interface Libraries {
  /** The version of glibc, such as `2.36`. */
  readonly glibc: string;
  /** The files by their names in `lib/`; the loader is `ld.so`. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** Texts about their licences, by their names in `lib/`. */
  readonly licenses: ReadonlyMap<string, Buffer>;
}

/** The search for libraries: found, or the reason why they cannot be used, as the end of a sentence. */
export type LibrarySearch = { readonly libraries: Libraries } | { readonly missing: string };

/** The name of a loader in `lib/`, whatever its own name is. */
const LOADER = "ld.so";
/** The directories of Debian's libraries and cross compilers have this name. */
const TRIPLETS: Readonly<Record<RuntimeArch, string>> = {
  x64: "x86_64-linux-gnu",
  arm64: "aarch64-linux-gnu",
};
/** Libraries that glibc before 2.34 loads when a name of a host or a user is looked up. */
const NAME_SERVICES = ["libnss_files.so.2", "libnss_dns.so.2"];
const NAME_SERVICES_BUILT_IN = 34;

interface Library {
  readonly path: string;
  readonly bytes: Buffer;
  readonly elf: Elf;
}

/**
 * Find what a program needs below a root (default: of this machine), in the directories in which distributions keep the
 * libraries of that architecture, Debian's foreign architectures and cross compilers included. Links are followed as
 * after chroot(2). The libraries must have all versions that the program and other libraries need.
 */
export function findLibraries(program: Elf, arch: RuntimeArch, below = "/"): LibrarySearch {
  const root = resolve(below);
  const { interpreter } = program;
  if (interpreter === undefined) return { missing: "the program needs no loader" };
  const loaderName = basename(interpreter);
  const found = new Map<string, Library>();
  const find = (name: string): Library | undefined => {
    const known = found.get(name);
    if (known !== undefined) return known;
    const library = findOne(name, arch, root);
    if (library !== undefined) found.set(name, library);
    return library;
  };
  const wanted = [loaderName, ...program.needed];
  const collect = (): string | undefined => {
    for (let at = 0; at < wanted.length; at++) {
      const name = wanted[at]!;
      const library = find(name);
      if (library === undefined) return name;
      wanted.push(...library.elf.needed.filter((needed) => !wanted.includes(needed)));
    }
    return undefined;
  };
  const missing = collect();
  if (missing !== undefined)
    return {
      missing: `${missing} for ${arch} is in none of ${directoriesFor(arch)
        .map((directory) => join(root, directory))
        .join(", ")}`,
    };
  const glibc = glibcOf(found.get("libc.so.6"));
  if (glibc === undefined) return { missing: `there is no glibc for ${arch}` };
  if (Number(glibc.split(".")[1]) < NAME_SERVICES_BUILT_IN) {
    wanted.push(...NAME_SERVICES.filter((name) => find(name) !== undefined));
    const other = collect();
    if (other !== undefined) return { missing: `${other} for ${arch} is not there` };
  }
  for (const { requires } of [program, ...[...found.values()].map(({ elf }) => elf)]) {
    for (const { library, version } of requires) {
      const provider = found.get(library);
      if (provider?.elf.defines.has(version) === false)
        return { missing: `${provider.path} is too old: Node needs its version ${version}` };
    }
  }
  const files = [...found].map(
    ([name, { path, bytes }]) => [name === loaderName ? LOADER : name, stripElf(bytes, path)] as const,
  );
  return { libraries: { glibc, files: new Map(files), licenses: findLicenses(root, arch) } };
}

/** Return the directories that may have libraries, as paths below a root. */
function directoriesFor(arch: RuntimeArch): readonly string[] {
  const triplet = TRIPLETS[arch];
  return [
    ...[`lib/${triplet}`, `usr/lib/${triplet}`, "lib64", "usr/lib64"],
    ...[`usr/${triplet}/lib`, "lib", "usr/lib"],
  ];
}

/** Find a library by its name; those of other machines may have the same. */
function findOne(name: string, arch: RuntimeArch, root: string): Library | undefined {
  // A name with a slash would be a path of the machine that it was linked on.
  if (name.includes("/")) return undefined;
  for (const directory of directoriesFor(arch)) {
    try {
      const path = resolveBelow(root, `${directory}/${name}`);
      const bytes = readFileSync(path);
      const elf = readElf(bytes, path);
      if (elf.arch === arch) return { path, bytes, elf };
    } catch {
      // Not here, or a text for the linker: another directory may have the library.
    }
  }
  return undefined;
}

/** Return the version of glibc by the newest of its symbol versions; undefined for another libc. */
function glibcOf(library: Library | undefined): string | undefined {
  const versions = [...(library?.elf.defines ?? [])].flatMap(
    (version) => /^GLIBC_(2\.\d+)/.exec(version)?.[1] ?? [],
  );
  return versions.sort((one, other) => one.localeCompare(other, "en", { numeric: true })).at(-1);
}
