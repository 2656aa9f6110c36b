import { VolleyError } from "../../core/errors.ts";
import type { Become, BecomeMethod } from "../../core/unix/become.ts";

/** A login that did not become another user. */
export interface FailedBecome {
  readonly host: string;
  /** The login user. */
  readonly login: string;
  readonly become: Become;
}

const GIVE_PASSWORD =
  "-K asks for it; --become-password-file, VOLLEY_BECOME_PASSWORD and ansible_become_password give it";

/** Return the hint for a missing password. */
export function hintPassword(method: BecomeMethod): string {
  switch (method) {
    case "sudo":
      return `give the password that sudo asks for (${GIVE_PASSWORD}), or add a NOPASSWD rule for the user`;
    case "doas":
      return `give the user's password (${GIVE_PASSWORD}), or add a nopass rule to doas.conf`;
    case "su":
      return `give the password of the user to become: ${GIVE_PASSWORD}`;
  }
}

/** Return the error of a missing password. */
export function wantedPassword({ host, login, become: { user, method } }: FailedBecome): VolleyError {
  return new VolleyError(
    "BECOME_FAILED",
    `${host}: ${login} cannot become ${user}: ${method} wants a password`,
    {
      hint: hintPassword(method),
    },
  );
}

/** Return the error of a wrong password; `asks` is the user whose password sudo asked for. */
export function wrongPassword(
  { host, login, become: { user, method } }: FailedBecome,
  asks: string = method === "su" ? user : login,
): VolleyError {
  return new VolleyError(
    "BECOME_FAILED",
    `${host}: ${login} cannot become ${user}: ${method} does not take the password`,
    { hint: `it must be ${asks}'s password on that host; it was given once and will not be tried again` },
  );
}

interface Reason {
  readonly said: RegExp;
  readonly hint: (failed: FailedBecome) => string;
}

/** English messages of sudo, doas, su and PAM, with hints; the first match counts. */
const REASONS: readonly Reason[] = [
  {
    said: /must have a tty to run sudo/i,
    hint: ({ login }) =>
      `its sudoers say requiretty: add the line "Defaults:${login} !requiretty", or become with su or doas (ansible_become_method)`,
  },
  {
    said: /a password is required|terminal is required|no askpass program|authentication (?:is )?required|interaction is required/i,
    hint: ({ become }) => hintPassword(become.method),
  },
  {
    said: /not in the sudoers|may not run sudo|not allowed to (?:execute|run|authenticate)|Operation not permitted|afraid I can't do that/i,
    hint: ({ login, become: { user, method } }) =>
      method === "doas"
        ? `add the rule "permit nopass ${login} as ${user}" to its doas.conf, or log in as the user to become`
        : `add a rule for the user to its sudoers, such as "${login} ALL=(${user}) NOPASSWD: ALL", or log in as the user to become`,
  },
  {
    said: /unknown user|does not exist|no passwd entry|user '.*' not found/i,
    hint: ({ become }) => `there is no user ${become.user} on that host`,
  },
  {
    said: /expired|change your password|Authentication token/i,
    hint: () => "the account's password must be renewed on the host first",
  },
  {
    said: /too many logins/i,
    hint: ({ become }) =>
      `its limits (maxlogins, see limits.conf) allow no further session of ${become.user}: end some there, or raise the limit`,
  },
  {
    said: /(?:account|user)\b.*\blocked|locked due to|faillock|too many (?:failed|failures|authentication|password|unsuccessful)|exhausted maximum number/i,
    hint: () => "the account is locked for now: wait, or unlock it with faillock --reset",
  },
  {
    said: /not available|restricted shell|nologin/i,
    hint: ({ become }) => `${become.user} has no login shell, which su insists on: become it with sudo`,
  },
];

const WRONG =
  /incorrect (?:password|authentication)|Authentication fail|Sorry, try again|auth(?:entication)? error/i;
const MISSING = /(?:not found|No such file or directory)\s*$/i;
/** Warnings, which are no reason. */
const ASIDE = /unable to resolve host/;

/** Explain by a command's output why the login did not become another user; undefined when the output names no reason. */
export function explainBecome(
  failed: FailedBecome,
  stderr: string,
  asked: boolean,
  code: number | undefined,
): VolleyError | undefined {
  const { host, login, become } = failed;
  const { user, method, exe = method } = become;
  const lines = stderr
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !ASIDE.test(line));
  const last = lines.at(-1) ?? "";
  const cannot = `${host}: ${login} cannot become ${user}`;
  if ((code === 127 || code === 126) && MISSING.test(last) && last.includes(exe)) {
    return new VolleyError("BECOME_FAILED", `${cannot}: there is no ${exe} there`, {
      hint: `install ${exe} on the host, choose another way with ansible_become_method, or log in as the user to become`,
    });
  }
  if (lines.some((line) => WRONG.test(line))) {
    if (asked) return wrongPassword(failed);
    return new VolleyError("BECOME_FAILED", `${cannot}: ${last}`, { hint: hintPassword(method) });
  }
  for (const line of [...lines].reverse()) {
    const reason = REASONS.find(({ said }) => said.test(line));
    if (reason !== undefined)
      return new VolleyError("BECOME_FAILED", `${cannot}: ${line}`, { hint: reason.hint(failed) });
  }
  if (!new RegExp(`^(?:${method}|${exe.replace(/[^\w/.-]/g, ".")}): `).test(last)) return undefined;
  return new VolleyError("BECOME_FAILED", `${cannot}: ${last}`, { hint: hintPassword(method) });
}
