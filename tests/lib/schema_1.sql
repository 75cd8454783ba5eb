-- The tables as schema 1 had them: what an upgrade begins with. Not to be changed.
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  identity TEXT NOT NULL,     -- of this database, made with it
  revision INTEGER NOT NULL,  -- of the newest state; never goes down
  refused INTEGER NOT NULL,   -- transactions that the disk refused at their end
  crc INTEGER NOT NULL        -- CRC-32 of the row's values; 0: not checked
) STRICT;
CREATE TABLE service (
  name TEXT PRIMARY KEY,
  revision INTEGER NOT NULL,  -- of the last change to the service's own fields
  origin INTEGER NOT NULL,    -- 0: REST or imported, 1: a declarative file
  deleting INTEGER NOT NULL,  -- 1: goes with its last backend
  address TEXT NOT NULL,      -- 10.0.0.1:80/tcp
  settings TEXT NOT NULL,     -- JSON, as GET /service/NAME shows its options
  crc INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE backend (
  service TEXT NOT NULL REFERENCES service (name) ON DELETE CASCADE,
  name TEXT NOT NULL,
  revision INTEGER NOT NULL,
  address TEXT NOT NULL,      -- 10.1.0.1:80
  settings TEXT NOT NULL,     -- JSON, as GET /service/SERVICE/NAME shows its options
  crc INTEGER NOT NULL,
  PRIMARY KEY (service, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE health (
  service TEXT NOT NULL,
  backend TEXT NOT NULL,
  state INTEGER NOT NULL,     -- what was last known: 0 unknown, 1 up, 2 down
  since INTEGER NOT NULL,     -- ns since 1970, 0: unknown
  back INTEGER NOT NULL,      -- when it came back, while its weight still grows
  crc INTEGER NOT NULL,
  PRIMARY KEY (service, backend),
  FOREIGN KEY (service, backend) REFERENCES backend (service, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE leaving (
  service TEXT NOT NULL,      -- 10.0.0.1:80/tcp: a kernel entry that was ours and is to go
  backend TEXT NOT NULL,      -- one destination of it, or '' for the service itself
  crc INTEGER NOT NULL,
  PRIMARY KEY (service, backend)
) STRICT, WITHOUT ROWID;
CREATE TABLE vip (
  address TEXT PRIMARY KEY,   -- that gorb added to an interface
  crc INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
