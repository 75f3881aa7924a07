from segnst.cli.app import main

main()
