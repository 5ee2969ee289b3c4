import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command line tools one after the other in one Java machine, since starting one takes far longer than most tools do.
 *
 * A line of standard input is a class and its arguments, with U+001F between them. The answer is a line with the exit code and the lengths of what the tool wrote to
 * standard output and to standard error, and then those bytes.
 */
public class Toolbox {
    /** Unwinds a tool that asks for the end of its process. */
    private static final class Ended extends Error {
        Ended(String message) {
            super(message, null, false, false);
        }
    }

    /** The first exit code that the tool asked for: one that catches everything asks again when it meets Ended. */
    private static Integer code;

    private static void end(int status, String message) {
        if (code == null) {
            code = status;
        }
        throw new Ended(message);
    }

    public static void main(String[] ignored) throws IOException {
        PrintStream answers = System.out;
        Exit.setExitProcedure(Toolbox::end);
        Exit.setHaltProcedure(Toolbox::end);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = commands.readLine()) != null; ) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
            code = null;
            run(line.split("\u001f", -1));
            System.out.flush();
            System.err.flush();
            answers.printf("%d %d %d%n", code == null ? 0 : code, out.size(), err.size());
            out.writeTo(answers);
            err.writeTo(answers);
            answers.flush();
        }
    }

    private static void run(String[] command) {
        try {
            Object args = Arrays.copyOfRange(command, 1, command.length);
            Class.forName(command[0]).getMethod("main", String[].class).invoke(null, args);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Ended)) {
                e.getCause().printStackTrace();
                code = code == null ? 1 : code;
            }
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            code = 127;
        }
    }
}
