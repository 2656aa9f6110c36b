import { rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { RuntimeArch } from "../../core/runtimes.ts";
import { fileReason } from "../../core/unix/user-file.ts";
import { type ArchiveFile, readPackage, writeArchive } from "./archive.ts";
import { BUILDS, type NodeBuild, packageFile } from "./builds.ts";
import { readElf, stripElf } from "./elf.ts";
import { findLibraries, type Libraries } from "./libraries.ts";
import { downloadPackage } from "./npm.ts";
import { cannotKeep, keepRuntime, listRuntimes, makeWorkspace, type Runtime, readRuntime } from "./store.ts";

/** Whether a runtime brings glibc's loader and the libraries along: always, never, or where this machine has them. */
export type WithLibraries = "always" | "never" | "where found";

/** A step of a fetch, for people. */
export type FetchStep =
  | { readonly step: "download"; readonly build: NodeBuild }
  | { readonly step: "pack"; readonly build: NodeBuild; readonly share: number };

/** The wanted runtime, and the places that it is made from. */
export interface FetchOptions {
  readonly arch: RuntimeArch;
  readonly withLibraries: WithLibraries;
  /** A folder with the packages of the registry, as `npm pack` writes them. Default: npm downloads the package. */
  readonly from?: string | undefined;
  /** The root of the system whose libraries are taken. Default: that of this machine. */
  readonly libraries?: string | undefined;
  /** The builds. Default: the pinned ones. */
  readonly builds?: Readonly<Record<RuntimeArch, NodeBuild>>;
  readonly onStep?: (step: FetchStep) => void;
  readonly signal?: AbortSignal;
}

/** A fetched runtime. */
export interface Fetched {
  readonly runtime: Runtime;
  /** True where nothing had to be done. */
  readonly wasThere: boolean;
  /** The version of glibc that was packed; undefined without libraries, and where nothing had to be done. */
  readonly glibc?: string;
  /** The reason why no libraries were packed, where they were wanted. */
  readonly missing?: string;
}

/**
 * Bring a build of Node into this user's cache, stripped, compressed, and with the libraries that hosts may lack. A
 * runtime that is there, whole, and made as asked for stays. Fails with `RUNTIME_FAILED`, or `CANCELLED`.
 */
export async function fetchRuntime(options: FetchOptions): Promise<Fetched> {
  const { arch, withLibraries, from, libraries: root, builds = BUILDS, onStep, signal } = options;
  const build = builds[arch];
  await refuseMissing(from);
  await refuseMissing(root);
  const there = await findWhole(build, withLibraries);
  if (there !== undefined) return { runtime: there, wasThere: true };
  const workspace = await makeWorkspace();
  try {
    onStep?.({ step: "download", build });
    const file =
      from === undefined
        ? await downloadPackage(build, workspace, signal)
        : join(resolve(from), packageFile(build));
    const { node, license } = await readPackage(file, build, signal);
    // The archive needs the space.
    if (from === undefined) await rm(file);
    const name = `bin/node of ${packageFile(build)}`;
    const elf = readElf(node, name);
    if (elf.arch !== arch) throw new VolleyError("RUNTIME_FAILED", `${name} is not for ${arch}`);
    const search = withLibraries === "never" ? undefined : findLibraries(elf, arch, root);
    const missing = search !== undefined && "missing" in search ? search.missing : undefined;
    const libraries = search !== undefined && "libraries" in search ? search.libraries : undefined;
    if (missing !== undefined && withLibraries === "always")
      throw new VolleyError("RUNTIME_FAILED", `${arch}: no libraries to pack: ${missing}`, {
        hint: librariesHint(arch),
      });
    const archive = join(workspace, "archive");
    const written = await writeArchive(
      archive,
      [
        { name: "LICENSE", mode: 0o644, content: license },
        { name: "bin/node", mode: 0o755, content: stripElf(node, name) },
        ...libraryFiles(libraries),
      ],
      (share) => onStep?.({ step: "pack", build, share }),
      signal,
    ).catch((thrown: unknown) => {
      throw signal?.aborted === true
        ? new VolleyError("CANCELLED", "the fetch was cancelled")
        : cannotKeep(thrown);
    });
    const runtime = await keepRuntime(workspace, archive, {
      ...written,
      arch,
      version: build.version,
      hasLibraries: libraries !== undefined,
    });
    return {
      runtime,
      wasThere: false,
      ...(libraries === undefined ? {} : { glibc: libraries.glibc }),
      ...(missing === undefined ? {} : { missing }),
    };
  } finally {
    await rm(workspace, { recursive: true, force: true });
  }
}

/** Return the runtime of a build that is there and as wanted; undefined also for a damaged one, which is then replaced. */
async function findWhole(build: NodeBuild, withLibraries: WithLibraries): Promise<Runtime | undefined> {
  const there = listRuntimes().find(({ arch, version }) => arch === build.arch && version === build.version);
  if (there === undefined) return undefined;
  if (withLibraries !== "where found" && there.hasLibraries !== (withLibraries === "always"))
    return undefined;
  return readRuntime(there).then(
    () => there,
    () => undefined,
  );
}

function libraryFiles(libraries: Libraries | undefined): readonly ArchiveFile[] {
  if (libraries === undefined) return [];
  const inLib = (files: ReadonlyMap<string, Buffer>, mode: number): readonly ArchiveFile[] =>
    [...files].map(([name, content]) => ({ name: `lib/${name}`, mode, content }));
  return [...inLib(libraries.files, 0o755), ...inLib(libraries.licenses, 0o644)];
}

/** Say where libraries of an architecture come from, for a controller that has none. */
export function librariesHint(arch: RuntimeArch): string {
  const debian = arch === "x64" ? "amd64" : arch;
  return `install glibc and libstdc++ of ${arch}, on Debian libc6-${debian}-cross and libstdc++6-${debian}-cross; or --libraries names the root of a system that has them`;
}

/** Fail with `USAGE` unless a folder that the user named is one. */
async function refuseMissing(folder: string | undefined): Promise<void> {
  if (folder === undefined) return;
  try {
    if ((await stat(folder)).isDirectory()) return;
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read the folder ${folder}: ${fileReason(thrown)}`, {
      cause: thrown,
    });
  }
  throw new VolleyError("USAGE", `${folder} is no folder`);
}
