EXTRA_DIST += tools/quickstart.sh tools/quickstart/payer.py tools/test.sh examples/consumer.py
