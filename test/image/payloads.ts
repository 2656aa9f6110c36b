import { createHash } from "node:crypto";
import { runnerScript } from "../../src/image/first-boot.ts";
import type { Payload } from "../../src/image/payload.ts";

/** Make a payload whose bundle is any text: for tests of the way to a machine, which run nothing. */
export function somePayload({
  host = "pi1",
  content = "a bundle\n".repeat(1_000),
  isSigned = true,
}: {
  readonly host?: string;
  readonly content?: string;
  readonly isSigned?: boolean;
} = {}): Payload {
  const bytes = Buffer.from(content);
  const id = createHash("sha256").update(bytes).digest("hex");
  const signers = isSigned ? 'volley namespaces="volley" ssh-ed25519 AAAA\n' : undefined;
  const file = (name: string, text: string | Buffer, mode = 0o600) => ({
    ...{ name, mode },
    content: Buffer.from(text),
  });
  return {
    ...{ host, playbook: "site.ts", runtimes: [], signers },
    bundle: { id, bytes },
    files: [
      file("site.run", bytes),
      ...(signers === undefined ? [] : [file("verify.sh", "#!/bin/sh\n"), file("allowed_signers", signers)]),
      file("run.sh", runnerScript({ host, bundleId: id, isSigned }), 0o700),
    ],
  };
}
