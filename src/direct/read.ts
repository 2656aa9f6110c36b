import { VolleyError } from "../core/errors.ts";
import type { FileSession } from "../transport/file-session.ts";

const READ = 1;
/** Reads in flight at a time. */
const WINDOW = 16;
/** As Node has it for files of its own machine. */
const MAX_HELD_BYTES = 2 ** 31 - 1;

/** Reads a file from its beginning, piece by piece in order; `size` is what is known of it, in bytes. */
export async function* readPieces(
  files: FileSession,
  path: string,
  size: number | undefined,
): AsyncGenerator<Buffer> {
  const handle = await files.open(path, READ);
  const piece = files.maxReadBytes;
  try {
    // What /proc holds says that it is empty, and gives less than is asked for before its end.
    const told = size ?? files.fstat(handle).then(({ size: bytes }) => bytes);
    if (typeof told !== "number") told.catch(() => {});
    let position = 0;
    const first = await files.read(handle, 0, piece);
    if (first === null) return;
    yield first;
    position = first.length;
    const total = (await told) ?? 0;
    const inFlight: { readonly from: number; readonly bytes: Promise<Buffer | null> }[] = [];
    let next = position;
    while (position < total) {
      while (inFlight.length < WINDOW && next < total) {
        const bytes = files.read(handle, next, Math.min(piece, total - next));
        bytes.catch(() => {});
        inFlight.push({ from: next, bytes });
        next += piece;
      }
      const { from, bytes } = inFlight.shift()!;
      const came = await bytes;
      if (came === null) return;
      yield came;
      position += came.length;
      // A server may give less than was asked for: what is in flight begins at the wrong places.
      if (from + came.length < Math.min(from + piece, total)) {
        inFlight.length = 0;
        next = position;
      }
    }
    if (total > 0) return;
    for (;;) {
      const more = await files.read(handle, position, piece);
      if (more === null) return;
      yield more;
      position += more.length;
    }
  } finally {
    // Nobody waits for it.
    files.closeHandle(handle).catch(() => {});
  }
}

/** Reads a whole file, of at most 2 GiB. */
export async function readWhole(files: FileSession, path: string, size: number | undefined): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const hold = (bytes: number): void => {
    if (bytes > MAX_HELD_BYTES)
      throw new VolleyError("FILE_FAILED", `cannot read ${path}: it is larger than 2 GiB`);
  };
  hold(size ?? 0);
  let length = 0;
  for await (const piece of readPieces(files, path, size)) {
    pieces.push(piece);
    length += piece.length;
    hold(length);
  }
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}
