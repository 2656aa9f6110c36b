import { dirname, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { VolleyError } from "../../core/errors.ts";
import { positiveInteger } from "../options.ts";
import { writeOutput } from "../output-file.ts";
import {
  addPayloadOptions,
  addRuntimeOptions,
  type PayloadFlags,
  payloadOptions,
  type RuntimeFlags,
  runtimeArchs,
} from "./options.ts";

interface CloudInitFlags extends PayloadFlags, RuntimeFlags {
  readonly output?: string;
  readonly iso?: string;
  readonly url?: string;
  readonly maxSize?: number;
  readonly gzip?: boolean;
}

/** Add `volley image cloud-init`. */
export function addCloudInitCommand(image: Command): void {
  addRuntimeOptions(
    addPayloadOptions(
      image
        .command("cloud-init <playbook>")
        .summary("write user-data for cloud-init, or a volume with it")
        .description(
          "Write user-data with which cloud-init provisions a machine at its first boot. The bundle is inside where it fits. Otherwise the machine fetches it from a URL, or from the volume that holds the user-data, and runs it only when its SHA-256 is the one in the user-data.",
        ),
    ),
  )
    .option("-o, --output <file>", "file to write the user-data to; - is standard output")
    .option(
      "--iso <file>",
      "write a volume for the datasource NoCloud: an ISO image with the label cidata, which holds the bundle where the user-data is too small for it",
    )
    .option(
      "--url <url>",
      "have the machine fetch the bundle from there; the bundle is written beside the user-data",
    )
    .addOption(
      new Option(
        "--max-size <KiB>",
        "largest size of the user-data (default: 16, which every cloud takes)",
      ).argParser(positiveInteger),
    )
    .option("--gzip", "compress the user-data: cloud-init unpacks it, but not every cloud takes it")
    .action(async (playbook: string, flags: CloudInitFlags) => {
      await writeUserData(playbook, flags);
    });
}

async function writeUserData(playbook: string, flags: CloudInitFlags): Promise<void> {
  const { output, iso, gzip, maxSize } = flags;
  if (output === undefined && iso === undefined)
    throw new VolleyError("USAGE", "no file to write was named", {
      hint: "name the user-data with -o, or a volume with --iso",
    });
  const url = flags.url === undefined ? undefined : parseUrl(flags.url);
  if (url !== undefined && (iso ?? output) === "-")
    throw new VolleyError("USAGE", "the bundle of --url is written beside the user-data", {
      hint: "name a file with -o",
    });
  if (iso === "-" && process.stdout.isTTY === true)
    throw new VolleyError("USAGE", "a volume is not for a terminal", { hint: "name a file with --iso" });
  const [{ makePayload }, { kib, makeSeed, makeUserData }] = await Promise.all([
    import("../../image/payload.ts"),
    import("../../image/cloud-init.ts"),
  ]);
  const bundleFile =
    url === undefined
      ? undefined
      : join(dirname(output === undefined || output === "-" ? iso! : output), bundleName(url));
  refuseSameFile([output, iso, bundleFile]);
  const network = url === undefined ? flags.network : true;
  const payload = await makePayload(
    await payloadOptions(
      playbook,
      { ...flags, ...(network === undefined ? {} : { network }) },
      runtimeArchs(flags),
    ),
  );
  const userData = makeUserData(payload, {
    hasVolume: iso !== undefined,
    ...(url === undefined ? {} : { url: url.href }),
    ...(maxSize === undefined ? {} : { maxBytes: maxSize * 1024 }),
    ...(gzip === undefined ? {} : { gzip }),
    ...(network === undefined ? {} : { waitsForNetwork: network }),
  });
  // All of this may hold vars: it is for the owner alone.
  const mode = 0o600;
  const told: string[] = [];
  const bundle = `${kib(payload.bundle.bytes.length)}, SHA-256 ${payload.bundle.id}`;
  if (bundleFile !== undefined) {
    writeOutput(bundleFile, payload.bundle.bytes, { mode, replacesMode: true });
    told.push(`${bundleFile}: the bundle for ${payload.host}, ${bundle}; put it at ${url!.href}`);
  }
  const place =
    userData.source === undefined
      ? ", with the bundle inside"
      : userData.source === "volume"
        ? ", which takes the bundle from the volume"
        : "";
  const size = `user-data for ${payload.host}, ${kib(userData.document.length)}${place}`;
  if (output !== undefined) {
    writeOutput(output, userData.document, { mode, replacesMode: true });
    told.push(`${output}: ${size}`);
  }
  if (iso !== undefined) {
    const image = makeSeed(payload, userData);
    writeOutput(iso, image, { mode, replacesMode: true });
    told.push(`${iso}: volume cidata, ${kib(image.length)}, with the ${size}`);
  }
  const stream = output === "-" || iso === "-" ? process.stderr : process.stdout;
  stream.write(`${told.join("\n")}\n`);
}

/** Refuse to write one file in the place of another. Fails with `USAGE`. */
function refuseSameFile(files: readonly (string | undefined)[]): void {
  const paths = files.flatMap((file) => (file === undefined ? [] : [file === "-" ? file : resolve(file)]));
  const twice = paths.find((path, index) => paths.indexOf(path) !== index);
  if (twice !== undefined)
    throw new VolleyError("USAGE", `two files would be written to ${twice}`, {
      hint: "give -o, --iso and the file of --url names of their own",
    });
}

/** Parse a URL that programs on a machine can fetch. Fails with `USAGE`. */
function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol))
    throw new VolleyError(
      "USAGE",
      `--url takes an address that begins with http:// or https://, not ${text}`,
    );
  return url;
}

/** The name of the file that the URL names, for the bundle to be written. */
function bundleName({ pathname }: URL): string {
  const name = pathname.slice(pathname.lastIndexOf("/") + 1);
  return /^[\w-][\w.-]*$/.test(name) ? name : "site.run";
}
