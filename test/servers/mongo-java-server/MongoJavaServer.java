import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.ServerVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;

/** Speaks MongoDB's wire protocol on 127.0.0.1 and keeps all data in memory; `PORT oplog`: what was written, too. */
public class MongoJavaServer {
  public static void main(String[] arguments) throws Exception {
    MemoryBackend backend = new MemoryBackend();
    backend.version(ServerVersion.MONGO_5_0);
    MongoServer server = new MongoServer(backend);
    if (arguments.length > 1) server.enableOplog();
    server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
    System.out.println("ready on port " + server.getLocalAddress().getPort());
    Thread.currentThread().join();
  }
}
