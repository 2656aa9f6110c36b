import { createHash, createHmac, pbkdf2Sync } from "node:crypto";

/** Tell whether a text is a password as PostgreSQL keeps it: hashed with MD5 or SCRAM-SHA-256. */
export function isPostgresHash(text: string): boolean {
  return /^md5[0-9a-f]{32}$/.test(text) || text.startsWith("SCRAM-SHA-256$");
}

/** Tell whether a password, in clear or hashed, is the one that a server keeps for a role. */
export function samePostgresPassword(role: string, password: string, kept: string | null): boolean {
  if (password === "") return kept === null;
  if (kept === null) return false;
  if (password === kept) return true;
  if (isPostgresHash(password)) return false;
  if (kept.startsWith("md5"))
    return (
      kept ===
      `md5${createHash("md5")
        .update(password + role)
        .digest("hex")}`
    );
  return matchesScram(password, kept);
}

/** Compare a password with a verifier `SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER` (RFC 7677). */
function matchesScram(password: string, verifier: string): boolean {
  const [, iterations, salt, , server] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)$/.exec(verifier) ?? [];
  if (iterations === undefined || salt === undefined) return false;
  // PostgreSQL prepares passwords with SASLprep, which leaves ASCII as it is.
  const salted = pbkdf2Sync(
    password.normalize("NFKC"),
    Buffer.from(salt, "base64"),
    Number(iterations),
    32,
    "sha256",
  );
  return createHmac("sha256", salted).update("Server Key").digest("base64") === server;
}
