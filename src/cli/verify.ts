import { type Command, Option } from "commander";
import { VolleyError } from "../core/errors.ts";
import { safeLine } from "../reporter/rows/sanitize.ts";
import { expandHome } from "./terminal.ts";

// Signed bundles: `volley verify`, and the option that signs.

/** Make `--sign` of the commands that write bundles. */
export function signOption(): Option {
  return new Option(
    "--sign <key>",
    "sign it with this SSH key: a private key, or a .pub whose private key the agent holds",
  );
}

interface VerifyFlags {
  readonly signers?: string;
  readonly signer?: string;
  readonly script?: boolean;
}

/** Add `volley verify`. */
export function addVerifyCommand(program: Command): void {
  program
    .command("verify [bundle]")
    .summary("verify the signature of a bundle")
    .description(
      "Verify that an allowed signer made a bundle, and that no byte of it was changed since, without running anything of it. Exit code 0 when that is proved, else 1. Needs ssh-keygen of OpenSSH 8.2 or newer.",
    )
    .option(
      "--signers <file>",
      "the allowed signers: lines of an identity and a public key, see ALLOWED SIGNERS in ssh-keygen(1)",
    )
    .option("--signer <identity>", "the identity that must have signed (default: any in the file)")
    .option("--script", "print a shell script that does the same on a host, and can start the bundle then")
    .action(async (bundle: string | undefined, { signers, signer, script }: VerifyFlags) => {
      if (script === true) {
        if (bundle !== undefined || signers !== undefined || signer !== undefined)
          throw usage("--script prints a script for any bundle: nothing goes with it");
        const { VERIFY_SCRIPT } = await import("../bundle/signing/verify-script.ts");
        process.stdout.write(VERIFY_SCRIPT);
        return;
      }
      if (bundle === undefined || signers === undefined)
        throw usage("which bundle, and who may have signed it?");
      const [{ verifyBundle }, { readBundle }] = await Promise.all([
        import("../bundle/signing/verify.ts"),
        import("../bundle/carried.ts"),
      ]);
      const { identity, keyType, fingerprint } = await verifyBundle(readBundle(bundle), {
        name: bundle,
        allowedSigners: expandHome(signers),
        ...(signer === undefined ? {} : { identity: signer }),
      });
      process.stdout.write(
        `${safeLine(`${bundle}: signed by ${identity} with ${keyType} key ${fingerprint}`)}\n`,
      );
    });
}

function usage(problem: string): VolleyError {
  return new VolleyError("USAGE", problem, {
    hint: "write: volley verify site.run --signers FILE, or volley verify --script >verify.sh",
  });
}
