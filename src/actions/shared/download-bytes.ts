import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { openDownload, refusal } from "../network/download.ts";

const TIMEOUT_MS = 30_000;
const MAX_BYTES = 8 << 20;

/** Download a small file into memory, such as a key. Fails with `ACTION_FAILED` or `TIMEOUT`, and for more than 8 MiB. */
export async function downloadBytes(
  url: string,
  { facts, signal }: Pick<ActionContext, "facts" | "signal">,
  validateCertificates = true,
): Promise<Buffer> {
  const response = await openDownload({
    url,
    timeoutMs: TIMEOUT_MS,
    environment: facts.env,
    signal,
    validateCertificates,
  });
  if (response.status !== 200) throw refusal(url, response);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new VolleyError("ACTION_FAILED", `${url} is longer than 8 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
