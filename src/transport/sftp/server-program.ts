import { NO_SFTP_SERVER_EXIT } from "./open-file-session.ts";

/** Where distributions keep OpenSSH's sftp-server: Debian, Fedora, Arch, BSD and Alpine, others. */
export const SFTP_SERVER_PATHS: readonly string[] = [
  "/usr/lib/openssh/sftp-server",
  "/usr/libexec/openssh/sftp-server",
  "/usr/lib/ssh/sftp-server",
  "/usr/libexec/sftp-server",
  "/usr/lib/sftp-server",
];

/** Shell that becomes an sftp-server, for where no subsystem does: as another user. Exits with 127 where there is none. */
export const SFTP_SERVER_SCRIPT = `for p in ${SFTP_SERVER_PATHS.join(" ")}; do [ -x "$p" ] && exec "$p"; done; command -v sftp-server >/dev/null 2>&1 && exec sftp-server; exit ${NO_SFTP_SERVER_EXIT}`;
