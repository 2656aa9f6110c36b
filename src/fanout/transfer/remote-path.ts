import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { sftpStatus } from "../../transport/sftp/error.ts";
import { STATUS } from "../../transport/sftp/protocol.ts";
import type { TransferContext } from "./context.ts";
import { below } from "./names.ts";

/**
 * A path on a host in full: relative ones are below the home, `~/` is the home and `~user/` that user's, as the host
 * knows it (`./~user` is a name). Fails with `SFTP_FAILED` where there is no such user, or the host's SFTP server cannot
 * tell.
 */
export async function remotePath(
  { files, host }: Pick<TransferContext, "files" | "host">,
  given: string,
): Promise<string> {
  const [, user, rest] = /^~([^/]*)(.*)$/s.exec(given) ?? [];
  const isAbsolute = given.startsWith("/");
  const home = isAbsolute ? "/" : user ? await homeOf(user) : await files.realPath(".");
  const full = posix.normalize(isAbsolute ? given : below(home, (rest ?? given).replace(/^\/+/, "")));
  return full.length > 1 ? full.replace(/\/$/, "") : full;

  async function homeOf(name: string): Promise<string> {
    try {
      return await files.expandPath(`~${name}`);
    } catch (thrown) {
      if (sftpStatus(thrown) === undefined) throw thrown;
      const cannot = sftpStatus(thrown) === STATUS.unsupported;
      const why = cannot
        ? "the host's SFTP server cannot tell where that is"
        : `there is no user ${name} there`;
      throw new VolleyError("SFTP_FAILED", `${host}: ${given}: ${why}`, {
        hint: cannot ? "write the path in full" : `a file of that name in the home is ./${given}`,
      });
    }
  }
}
