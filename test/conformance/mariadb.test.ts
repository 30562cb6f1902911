import { describeMysqlFamily } from './mysql-family.js';

describeMysqlFamily('mariadb', 'utf8mb4_nopad_bin');
