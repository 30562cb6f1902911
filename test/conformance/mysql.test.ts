import { describeMysqlFamily } from './mysql-family.js';

describeMysqlFamily('mysql9', 'utf8mb4_0900_bin');
