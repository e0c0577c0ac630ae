import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Map;
import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.connectors.ConnectorPortRegister;
import org.neo4j.configuration.connectors.ConnectorType;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementService;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;
import org.neo4j.kernel.internal.GraphDatabaseAPI;

/**
 * Real Neo4j servers for tests, told what to do by lines of standard input: {@code open PORT AUTH READ_ONLY HOME} starts one more and is
 * answered by {@code ready PORT} or {@code failed WHY} (HOME {@code -} is a folder of its own that goes with it); {@code stop} ends in
 * order. When standard input ends the process ends at once, so that it never outlives a test, not even one that was killed.
 */
final class GraphmillTestNeo4j {
    public static void main(String[] args) throws Exception {
        var ownHomes = new ArrayList<Path>();
        var services = new ArrayList<DatabaseManagementService>();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (var line = lines.readLine(); line != null; line = lines.readLine()) {
            if (line.equals("stop")) {
                services.forEach(DatabaseManagementService::shutdown);
                System.exit(0);
            }
            var words = line.split(" ", 5);
            try {
                var home = words[4].equals("-") ? Files.createTempDirectory("graphmill-neo4j") : Path.of(words[4]);
                if (words[4].equals("-")) {
                    ownHomes.add(home);
                }
                var service = open(
                        Integer.parseInt(words[1]),
                        Boolean.parseBoolean(words[2]),
                        Boolean.parseBoolean(words[3]),
                        home);
                services.add(service);
                System.out.println("ready " + port(service));
            } catch (Exception e) {
                e.printStackTrace();
                System.out.println("failed " + String.valueOf(e.getMessage()).replace('\n', ' '));
            }
        }
        ownHomes.forEach(GraphmillTestNeo4j::remove);
        Runtime.getRuntime().halt(0);
    }

    private static void remove(Path home) {
        try (var paths = Files.walk(home)) {
            paths.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
        } catch (IOException | RuntimeException e) {
            e.printStackTrace();
        }
    }

    private static DatabaseManagementService open(int port, boolean auth, boolean readOnly, Path home) {
        boolean isNew = !Files.exists(home.resolve("data"));
        var service = new DatabaseManagementServiceBuilder(home)
                .setConfig(BoltConnector.enabled, true)
                .setConfig(BoltConnector.listen_address, new SocketAddress("127.0.0.1", port))
                .setConfig(BoltConnector.advertised_address, new SocketAddress("127.0.0.1", port))
                .setConfig(GraphDatabaseSettings.auth_enabled, auth)
                .setConfig(GraphDatabaseSettings.read_only_database_default, readOnly)
                .setConfig(GraphDatabaseSettings.pagecache_memory, 64L << 20)
                .setConfig(GraphDatabaseSettings.preallocate_logical_logs, false)
                .build();
        if (auth && isNew) {
            try (var tx = service.database("system").beginTx()) {
                var password = Map.<String, Object>of("password", System.getenv("GRAPHMILL_TEST_NEO4J_PASSWORD"));
                tx.execute("ALTER USER neo4j SET PASSWORD $password CHANGE NOT REQUIRED", password);
                tx.commit();
            }
        }
        return service;
    }

    private static int port(DatabaseManagementService service) {
        var system = (GraphDatabaseAPI) service.database("system");
        var ports = system.getDependencyResolver().resolveDependency(ConnectorPortRegister.class);
        return ports.getLocalAddress(ConnectorType.BOLT).getPort();
    }
}
