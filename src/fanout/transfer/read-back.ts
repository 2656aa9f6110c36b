import { createHash } from "node:crypto";
import { OPEN } from "../../transport/sftp/protocol.ts";
import type { TransferContext } from "./context.ts";
import { readInOrder } from "./read-in-order.ts";

/** SHA-256 of the first bytes of a file on a host that cannot tell it: reads them. */
export async function readBackHash(context: TransferContext, path: string, bytes: number): Promise<string> {
  const { files } = context;
  const handle = await files.open(path, OPEN.read);
  try {
    const hash = createHash("sha256");
    await readInOrder(context, handle, { from: 0, to: bytes }, (piece) => {
      hash.update(piece);
      return Promise.resolve();
    });
    return hash.digest("hex");
  } finally {
    files.close(handle).catch(() => {});
  }
}
