import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Makes `ssh` take a password from a file instead of a terminal (ssh(1), SSH_ASKPASS), once: asked again it gets none,
 * because the first was wrong. Gives the environment to start it with.
 */
export function passwordEnvironment(directory: string, name: string, password: string): NodeJS.ProcessEnv {
  const secret = join(directory, `${name}.pw`);
  const helper = join(directory, `${name}.askpass`);
  writeFileSync(secret, `${password}\n`, { mode: 0o600, flag: "w" });
  const script = [
    "#!/bin/sh",
    "# Not for passphrases of keys, nor for questions about host keys.",
    'case "$1" in *assphrase*|*continue\\ connecting*) exit 1 ;; esac',
    `[ -f '${secret}' ] || exit 1`,
    `cat '${secret}' && rm -f '${secret}'`,
    "",
  ];
  writeFileSync(helper, script.join("\n"), { mode: 0o700 });
  return { SSH_ASKPASS: helper, SSH_ASKPASS_REQUIRE: "force", DISPLAY: process.env.DISPLAY ?? "none:0" };
}
