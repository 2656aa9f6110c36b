/** Message types of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 3). */
export const MESSAGE = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  openDirectory: 11,
  readDirectory: 12,
  remove: 13,
  makeDirectory: 14,
  removeDirectory: 15,
  realPath: 16,
  stat: 17,
  rename: 18,
  readLink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attributes: 105,
  extended: 200,
  extendedReply: 201,
} as const;

/** Status codes (section 7 of the same draft). */
export const STATUS = {
  ok: 0,
  endOfFile: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  noConnection: 6,
  connectionLost: 7,
  unsupported: 8,
} as const;

/** Flags of an open file; they may be added up. */
export const OPEN = { read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32 } as const;

/** Which attributes follow. */
export const ATTRIBUTE = { size: 1, owner: 2, permissions: 4, times: 8, extended: 0x80000000 } as const;

/** Largest message either side sends, in bytes, without its length: that of OpenSSH. */
export const MAX_MESSAGE_BYTES = 256 << 10;

/** Largest read or write: a message without room for its head. */
export const MAX_DATA_BYTES = MAX_MESSAGE_BYTES - 1_024;

/** What a server that tells no limits takes (section 3: at least 34000 bytes a message). */
export const DEFAULT_DATA_BYTES = 32 << 10;

/** Longest handle a server may give (section 6.3). */
export const MAX_HANDLE_BYTES = 256;
