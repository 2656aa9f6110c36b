import { homedir } from "node:os";
import { BUNDLE_FORMAT, type Manifest } from "../core/bundle.ts";
import { describeError, exitCodeFor, VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/values/value.ts";
import { SYSTEM_ARGUMENT } from "../system/remote-system.ts";
import { settleWorkingDirectory, watchEventLoop } from "../system/this-process.ts";
import { attach } from "./attach.ts";
import { type CarryOut, createCarryOut } from "./carry-out.ts";
import type { Carried } from "./local/command-line.ts";
import { takeLock } from "./lock.ts";
import { type BundleReader, loadAhead, openParts } from "./parts.ts";
import { serve } from "./serve.ts";
import { serveSystem } from "./users.ts";

/** The part with the command line. */
interface Local {
  runLocally(carried: Carried): Promise<number>;
}

/** Where a bundle begins: `--target` and `--attach` speak the protocol with a controller, `--system` serves another bundle's process, anything else is a person's command line. */
export function main(bundle: BundleReader, argv: readonly string[]): void {
  // Exit at once: a timer that a role's code left behind must not keep the process.
  start(bundle, argv).then(
    (code) => process.exit(code),
    (thrown: unknown) => {
      console.error(`volley: ${describeError(thrown)}`);
      process.exit(exitCodeFor(thrown));
    },
  );
}

async function start(bundle: BundleReader, argv: readonly string[]): Promise<number> {
  const [what, subject = "", from = "1", part = ""] = argv;
  const { starved } = watchEventLoop("the run");
  const parts = openParts(bundle);
  const carry = createCarryOut(bundle, parts);
  const carryOut: CarryOut = (options) => Promise.race([carry(options), starved]);
  switch (what) {
    case "--target":
      settleWorkingDirectory(process.env.HOME);
      return serve({
        bundle,
        id: subject,
        playbook: readManifest(bundle).playbook,
        prepare: () => loadAhead(bundle, parts),
        carryOut,
      });
    case "--attach":
      return attach(subject, Number(from), part);
    case SYSTEM_ARGUMENT:
      return serveSystem(subject === "" ? undefined : subject, process.stdin, process.stdout);
    default:
      if (!bundle.names.includes("local.js.br"))
        throw new VolleyError("USAGE", "this bundle is part of a run; volley bundle makes one to carry");
      return (parts.local as Local).runLocally({
        bundle,
        manifest: readManifest(bundle),
        argv,
        carryOut,
        takeLock,
        // Wherever the bundle was carried to.
        settle: () => settleWorkingDirectory(process.env.HOME || homedir(), false),
      });
  }
}

/** Read the manifest of a bundle. Fails with `BUNDLE_INVALID`. */
function readManifest(bundle: BundleReader): Manifest {
  const text = bundle.read("manifest.json")?.toString("utf8");
  const manifest: unknown = text === undefined ? undefined : JSON.parse(text);
  if (!isRecord(manifest) || manifest.format !== BUNDLE_FORMAT) {
    throw new VolleyError("BUNDLE_INVALID", `${bundle.file} is not a bundle this runner understands`);
  }
  return manifest as unknown as Manifest;
}
