"""Find recordings in which one topic satisfies one condition and another topic another one.

No single topic can be both a position and a log, so the answer to the first question becomes the
place where the second one is asked.
"""

from __future__ import annotations

from mosaico_ros import GPS, MosaicoClient, QueryOntologyCatalog, QueryTopic, String
from mosaico_ros.examples import HOST, PORT


def main() -> None:
    with MosaicoClient.from_env(HOST, PORT) as client:
        initial_response = client.query(QueryOntologyCatalog(GPS.Q.status.status.eq(2)))
        print(f'With a precise position: {[item.sequence.name for item in initial_response]}')
        if initial_response:
            refined_domain = initial_response.to_query_sequence()
            final_results = client.query(
                refined_domain,
                QueryTopic().with_name('/localization/log_string'),
                QueryOntologyCatalog(String.Q.data.match('[ERR]')),
            )
            for item in final_results:
                print(f'Error found in: {item.sequence.name}')


if __name__ == '__main__':
    main()
