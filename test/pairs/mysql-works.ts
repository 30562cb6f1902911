/** A database with one of everything that SHOW CREATE shows of tables, triggers and views; `tables` are their names. */
export function works(engine: 'mariadb' | 'mysql9'): { readonly statements: readonly string[]; readonly tables: readonly string[]; readonly triggers: readonly string[]; readonly views: readonly string[] } {
  const mysql = engine === 'mysql9';
  return {
    statements: [
      ...(mysql ? [] : ['CREATE SEQUENCE numbers START WITH 5 INCREMENT BY 5 MAXVALUE 5000 CACHE 7 CYCLE', 'CREATE SEQUENCE alone START WITH 9 INCREMENT BY -1 MINVALUE -9 MAXVALUE 9 NOCACHE']),
      `CREATE TABLE authors (id bigint unsigned NOT NULL AUTO_INCREMENT, name varchar(40) COLLATE utf8mb4_bin NOT NULL, born date DEFAULT NULL, secret int ${mysql ? 'DEFAULT 7 INVISIBLE' : 'INVISIBLE DEFAULT 7'}, seen datetime(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
        place point NOT NULL, doc json DEFAULT NULL, size int ${mysql ? 'DEFAULT ((1 + 2))' : 'DEFAULT (1 + 2)'}, short char(5) CHARACTER SET latin1 DEFAULT 'é', bits bit(9) DEFAULT b'101', e set('a','b''c','d;e') DEFAULT 'a', tail varchar(9) GENERATED ALWAYS AS (right(name,3)) VIRTUAL, kept int GENERATED ALWAYS AS (size * 2) STORED COMMENT 'twice',
        PRIMARY KEY (id), UNIQUE KEY by_name (name(10), born DESC), KEY hidden (born) ${mysql ? 'INVISIBLE' : 'IGNORED'}, KEY commented (size) USING BTREE COMMENT 'an index', SPATIAL KEY places (place), FULLTEXT KEY names (name)${mysql ? ', KEY lowered ((lower(name)), id), KEY in_doc ((cast(doc->\'$.n\' as signed)))' : ''},
        CONSTRAINT old CHECK (born > '1900-01-01')${mysql ? ', CONSTRAINT soft CHECK (size > 99) NOT ENFORCED' : ''}) ENGINE=InnoDB AUTO_INCREMENT=700 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=4 STATS_PERSISTENT=1 COMMENT='all of ''them'''`,
      'CREATE TABLE books (id int NOT NULL, author bigint unsigned DEFAULT NULL, title text, PRIMARY KEY (id), CONSTRAINT `by whom` FOREIGN KEY (author) REFERENCES authors (id) ON DELETE SET NULL ON UPDATE CASCADE) ROW_FORMAT=DYNAMIC',
      'CREATE TABLE sales (id int NOT NULL, day date NOT NULL, v int, PRIMARY KEY (id, day)) PARTITION BY RANGE (to_days(day)) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION p0 VALUES LESS THAN (737425) COMMENT = \'old\', PARTITION p1 VALUES LESS THAN MAXVALUE)',
      'CREATE TABLE listed (id int NOT NULL, k varchar(5) NOT NULL, PRIMARY KEY (id, k)) PARTITION BY LIST COLUMNS (k) (PARTITION a VALUES IN (\'a\',\'x\'), PARTITION b VALUES IN (\'b\'))',
      'CREATE TABLE audit (n int NOT NULL AUTO_INCREMENT PRIMARY KEY, what varchar(50)) AUTO_INCREMENT=40',
      ...(mysql ? [] : ['CREATE TABLE numbered (id bigint NOT NULL DEFAULT nextval(numbers) PRIMARY KEY, v int)', 'CREATE TABLE history (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING']),
      `CREATE TRIGGER first BEFORE INSERT ON books FOR EACH ROW SET NEW.title = concat(NEW.title, '!')`,
      `CREATE TRIGGER second BEFORE INSERT ON books FOR EACH ROW FOLLOWS first BEGIN IF NEW.id > 0 THEN INSERT INTO audit (what) VALUES (concat('book; ', NEW.id, ' ''x''')); END IF; END`,
      `SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'`, `CREATE TRIGGER "an""other" AFTER UPDATE ON books FOR EACH ROW INSERT INTO "audit" (what) VALUES ('a' || 'b')`, 'SET sql_mode = DEFAULT',
      `CREATE SQL SECURITY INVOKER VIEW titled AS SELECT id, title FROM books WHERE author IS NULL AND title <> 'it''s \\\\ "so"' WITH CASCADED CHECK OPTION`, 'CREATE PROCEDURE p (IN x int) SELECT x', `CREATE EVENT ev ON SCHEDULE EVERY 1 YEAR DISABLE DO SELECT 1`,
      `INSERT INTO authors (name, born, place, doc) VALUES ('Ada', '1970-01-01', POINT(1, 2), '{"n": 5}'), ('Bob', NULL, POINT(3, 4), NULL)`, `INSERT INTO books VALUES (1, 700, 'x'), (2, NULL, 'y')`, `INSERT INTO sales VALUES (1, '2018-01-01', 1), (2, '2022-02-02', 2)`, `INSERT INTO listed VALUES (1, 'a'), (2, 'b')`,
      ...(mysql ? [] : ['INSERT INTO numbered (v) VALUES (1), (2)', 'INSERT INTO history VALUES (1, 1), (2, 2)', 'UPDATE history SET v = 5 WHERE id = 1', 'DELETE FROM history WHERE id = 2']),
    ],
    tables: ['authors', 'books', 'sales', 'listed', 'audit', ...(mysql ? [] : ['numbered', 'history'])], triggers: ['first', 'second', 'an"other'], views: ['titled'],
  };
}
