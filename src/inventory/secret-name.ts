const SECRET_NAME =
  /(?:^|[_-])(?:pass|password|passwd|passphrase|secret|token|credentials?|(?:api|secret|private|access)_?key)$/i;
const CAMEL_CASE =
  /[a-z0-9](?:Pass|Password|Passwd|Passphrase|Secret|Token|Credentials?|(?:Api|Secret|Private|Access)Key)$/;

/** What is shown in place of a value whose name says that it is secret. */
export const HIDDEN = "••••••••";

/** Whether a var is named as passwords and keys are. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) || CAMEL_CASE.test(name);
}
